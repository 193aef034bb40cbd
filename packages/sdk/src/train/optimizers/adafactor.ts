/** @file Adafactor: second moments of matrices factored into a column and a row, for a fraction of Adam's memory. */

import { sizeOf } from '../../runtime/tensor.ts';
import { rowSlices, slices, sumOfSquares } from '../slices.ts';
import type { Optimizer } from './optimizer.ts';
import { notNegative, oneOf, positive, settingsOf, zeros } from './settings.ts';

/** Settings of Adafactor; the defaults are torch's. */
export interface AdafactorOptions {
  readonly name: 'adafactor';
  /** Exponent of the second moments' decay, `1 − step^beta2Decay`; −0.8 by default. */
  readonly beta2Decay?: number;
  /** Lower bounds of a root mean square and a parameter's scale; 2⁻²³, 1e-3 by default (transformers: 1e-30, 1e-3). */
  readonly eps?: readonly [number, number];
  /** Maximum root mean square of an update before the learning rate; 1 by default. torch's `d`. */
  readonly clipThreshold?: number;
  /** Whether steps are relative to the parameter's root mean square; true by default. */
  readonly scaleParameter?: boolean;
  /** Whether the learning rate is at most 1/√step; true by default. */
  readonly relativeStep?: boolean;
  /** Decoupled: a step first multiplies the weights by `1 − lr·weightDecay`; 0 by default. */
  readonly weightDecay?: number;
}

type Slot = 'row_var' | 'col_var' | 'variance';

/**
 * Adafactor (arXiv 1804.04235) as torch.optim.Adafactor, with two switches of transformers. @throws OnnxLoraError
 * `CONFIG_INVALID` for a number out of range
 */
export function adafactor(given: Readonly<Record<string, unknown>>): Optimizer<Slot> {
  const settings = settingsOf<AdafactorOptions>('adafactor', given, {
    beta2Decay: { default: -0.8, is: (value) => Number.isFinite(value) && Number(value) <= 0, range: 'a number of 0 or less' }, // prettier-ignore
    eps: { default: [2 ** -23, 1e-3], is: areBounds, range: 'a number above 0, and one of 0 or more' },
    clipThreshold: positive(1),
    scaleParameter: oneOf(true, false),
    relativeStep: oneOf(true, false),
    weightDecay: notNegative(0),
  });
  const { beta2Decay, eps: [eps1, eps2], clipThreshold, scaleParameter, relativeStep, weightDecay } = settings; // prettier-ignore
  return {
    name: 'adafactor',
    weightDecay,
    init: (dims) => {
      const { matrices, rows, columns } = matricesOf(dims);
      const isMatrix = dims.length > 1;
      return {
        row_var: zeros([isMatrix ? matrices * rows : 0]),
        col_var: zeros([isMatrix ? matrices * columns : 0]),
        variance: zeros([isMatrix ? 0 : rows]),
      };
    },
    *update(value, gradient, { step, arrays }, { lr, weightDecay: decay, dims }) {
      const share = step ** beta2Decay;
      const { row_var, col_var, variance } = arrays;
      const size = value.length;

      let rate = relativeStep ? Math.min(lr, 1 / Math.sqrt(step)) : lr;
      if (scaleParameter) rate *= Math.max(eps2, Math.sqrt((yield* sumOfSquares(value)) / size));

      const matrices = matricesOf(dims);
      const roots = dims.length > 1 ? yield* factoredRoots(gradient, row_var, col_var, matrices, share, eps1) : yield* wholeRoots(gradient, variance, share); // prettier-ignore
      const most = 1 / eps1;
      // The update is not stored: computing it twice costs less than another array of the parameter's size.
      let squares = 0;
      yield* rowSlices(roots.byRow.length, matrices.columns, (from, to) => {
        squares += updateSquares(gradient, roots, matrices, most, from, to);
      });
      const factor = rate / Math.max(1, Math.sqrt(squares / size) / clipThreshold);
      const keep = 1 - lr * decay;
      yield* rowSlices(roots.byRow.length, matrices.columns, (from, to) => {
        move(value, gradient, roots, matrices, most, keep, factor, from, to);
      });
    },
  };
}

function areBounds(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isFinite) && value[0] > 0 && value[1] >= 0;
}

/** Inverse root mean squares of gradients, factored: by row over all matrices, times by column of each matrix. */
interface InverseRoots {
  readonly byRow: Float64Array;
  readonly byColumn: Float64Array;
}

interface Matrices {
  readonly matrices: number;
  readonly rows: number;
  readonly columns: number;
}

/** A tensor as matrices over its last two dimensions, a vector as one column. */
function matricesOf(dims: readonly number[]): Matrices {
  if (dims.length < 2) return { matrices: 1, rows: sizeOf(dims), columns: 1 };
  return { matrices: sizeOf(dims.slice(0, -2)), rows: dims.at(-2)!, columns: dims.at(-1)! };
}

function* wholeRoots(gradient: Float32Array, variance: Float32Array, share: number): Generator<void, InverseRoots> {
  const byRow = new Float64Array(gradient.length);
  yield* slices(gradient.length, (from, to) => {
    for (let i = from; i < to; i++) {
      variance[i]! += share * (gradient[i]! * gradient[i]! - variance[i]!);
      byRow[i] = 1 / Math.sqrt(variance[i]!);
    }
  });
  return { byRow, byColumn: Float64Array.of(1) };
}

function* factoredRoots(
  gradient: Float32Array,
  rowVar: Float32Array,
  colVar: Float32Array,
  { matrices, rows, columns }: Matrices,
  share: number,
  eps: number,
): Generator<void, InverseRoots> {
  const byRow = new Float64Array(rowVar.length);
  const byColumn = new Float64Array(colVar.length);
  const sums = new Float64Array(columns);
  for (let matrix = 0; matrix < matrices; matrix++) {
    sums.fill(0);
    let total = 0;
    const first = matrix * rows;
    yield* rowSlices(rows, columns, (from, to) => {
      total += takeRows(sums, gradient, rowVar, byRow, columns, share, first + from, first + to);
    });
    // The mean of all rows, which the product of row and column contains twice.
    const root = Math.sqrt(Math.max(eps, total / rows));
    for (let column = 0; column < columns; column++) {
      const at = matrix * columns + column;
      colVar[at]! += share * (sums[column]! / rows - colVar[at]!);
      byColumn[at] = root / Math.sqrt(colVar[at]!);
    }
  }
  return { byRow, byColumn };
}

/** Adds rows to the column sums and updates row means, whose sum is returned. */
function takeRows(
  sums: Float64Array,
  gradient: Float32Array,
  rowVar: Float32Array,
  byRow: Float64Array,
  columns: number,
  share: number,
  from: number,
  to: number,
): number {
  let total = 0;
  for (let row = from; row < to; row++) {
    let squares = 0;
    for (let i = 0; i < columns; i++) {
      const g = gradient[row * columns + i]!;
      sums[i]! += g * g;
      squares += g * g;
    }
    rowVar[row]! += share * (squares / columns - rowVar[row]!);
    total += rowVar[row]!;
    byRow[row] = 1 / Math.sqrt(rowVar[row]!);
  }
  return total;
}

function updateSquares(
  gradient: Float32Array,
  { byRow, byColumn }: InverseRoots,
  { rows, columns }: Matrices,
  most: number,
  from: number,
  to: number,
): number {
  let sum = 0;
  for (let row = from; row < to; row++) {
    const at = row * columns;
    const column = Math.floor(row / rows) * columns;
    const root = byRow[row]!;
    for (let i = 0; i < columns; i++) {
      const inverse = root * byColumn[column + i]!;
      // A predictable comparison is much faster than Math.min.
      const u = gradient[at + i]! * (inverse < most ? inverse : most);
      sum += u * u;
    }
  }
  return sum;
}

function move(
  value: Float32Array,
  gradient: Float32Array,
  { byRow, byColumn }: InverseRoots,
  { rows, columns }: Matrices,
  most: number,
  keep: number,
  factor: number,
  from: number,
  to: number,
): void {
  for (let row = from; row < to; row++) {
    const at = row * columns;
    const column = Math.floor(row / rows) * columns;
    const root = byRow[row]!;
    for (let i = 0; i < columns; i++) {
      const inverse = root * byColumn[column + i]!;
      const u = gradient[at + i]! * (inverse < most ? inverse : most);
      value[at + i] = keep * value[at + i]! - factor * u;
    }
  }
}
