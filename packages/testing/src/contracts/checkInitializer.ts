/** @file Checks initialisers. */

import { isDeepStrictEqual } from 'node:util';
import {
  type Matrix,
  matmul,
  matrix,
  type InitialFactors,
  type Initializer,
  type InitSite,
} from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { call, findings } from '../failures.ts';

const ROWS = 40;
/** Products of orthogonal factors are zero to within rounding. */
const ROUNDING = 1e-7;
const site: InitSite = { path: 'encoder.0', kind: 'linear', out: 6, width: 5, groups: 1, r: 2, scaling: 2 };

/**
 * Checks an initialiser on a linear layer: factors are finite, of the right shapes, and reproducible by seed; the layer
 * starts as the base, since B·A is zero or subtracted from the weight (`residual: 'subtract'`).
 * @example
 * assert.deepEqual(checkInitializer(() => myFactory.create()), []);
 * @param make makes an initialiser
 * @returns the problems found, including errors; empty if there are none
 */
export function checkInitializer(make: () => Initializer): string[] {
  return findings(() => {
    const [first, again] = [factorsOf(call('create', make)), factorsOf(call('create', make))];
    const { out, width, r } = site;
    const problems = [
      ...matrixProblems('A', first.A, r, width),
      ...matrixProblems('B', first.B, out, r),
      ...(isDeepStrictEqual(first, again) ? [] : ['the same seed gives other values the second time']),
    ];
    if (problems.length > 0 || first.residual === 'subtract') return problems;
    const isZero = matmul(first.B, first.A).data.every((each) => Math.abs(each) < ROUNDING);
    return isZero
      ? []
      : ['B·A is not zero, and it is not taken out again: return residual "subtract", or zeros in one factor'];
  });
}

function factorsOf(initializer: Initializer): InitialFactors {
  const random = new Random(5);
  const { out, width, r } = site;
  const normal = (rows: number): Matrix =>
    matrix(
      rows,
      width,
      Array.from({ length: rows * width }, () => random.normal()),
    );
  const weight = normal(out);
  switch (initializer.needs) {
    case 'nothing':
      return call('init', () => initializer.init(site, random));
    case 'weight':
    case 'gradient':
      return call('init', () => initializer.init(site, weight, random));
    case 'inputs': {
      const observer = call('observe', () => initializer.observe({ width, r, random }));
      for (let pass = 0; pass < initializer.passes && !observer.settled; pass++) {
        const x = normal(ROWS);
        const sum = Float64Array.from({ length: width }, (_, i) => columnSum(x, i));
        const max = x.data.reduce((most, each) => Math.max(most, each), -Infinity);
        const seen = { rows: ROWS, gram: matmul(x, x, { transposeA: true }), sum, max };
        call('update', () => observer.update(seen));
      }
      return call('factors', () => observer.factors(site, () => weight));
    }
  }
}

function columnSum({ rows, columns, data }: Matrix, column: number): number {
  let sum = 0;
  for (let row = 0; row < rows; row++) sum += data[row * columns + column]!;
  return sum;
}

function matrixProblems(name: string, found: Matrix, rows: number, columns: number): string[] {
  if (found.rows !== rows || found.columns !== columns)
    return [`${name} is [${found.rows}, ${found.columns}], expected [${rows}, ${columns}]`];
  return found.data.every(Number.isFinite) ? [] : [`${name} holds what is no number`];
}
