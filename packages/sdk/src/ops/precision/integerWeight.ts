/** @file Quantizes a frozen matrix to int8 with a scale per column. */

import { type BytesOrigin, type FileSlice, isInFile } from '../../graph/bytes.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { TensorProto } from '../../graph/proto.ts';
import { rawBytes, readFloats } from '../../graph/tensorData.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** A matrix `[in, out]` as `values · scales`. */
export interface IntegerWeight {
  /** int8 `[in, out]`, computed on write. */
  readonly values: TensorProto;
  /** float32 `[out]`, computed on write. */
  readonly scales: TensorProto;
}

/** Two rounded neighbors of one sign are at most 128 together when sums saturate. */
const STEPS = 127;

/**
 * Quantizes a float32 matrix, in parts along `in`, symmetrically to 255 steps per column. With saturation, the scale
 * fits the largest sum of two neighbors along `in`, since 255 · 128 is the limit of 16 bits: about seven and a half
 * bits, nothing is clipped. Cached per tensor.
 */
export function integerWeight(
  weights: readonly [TensorProto, ...TensorProto[]],
  isTransposed: boolean,
  saturates: boolean,
): IntegerWeight {
  const of = known.get(weights[0]) ?? new Map<string, IntegerWeight>();
  known.set(weights[0], of);
  const way = `${isTransposed} ${saturates} ${weights.map(({ name }) => name).join(' ')}`;
  const found = of.get(way) ?? roundedWeight(weights, isTransposed, saturates);
  of.set(way, found);
  return found;
}

const known = new WeakMap<TensorProto, Map<string, IntegerWeight>>();

function roundedWeight(
  weights: readonly [TensorProto, ...TensorProto[]],
  isTransposed: boolean,
  saturates: boolean,
): IntegerWeight {
  const name = `int8/weights/${weights.map((each) => each.name).join('+')}${isTransposed ? '/transposed' : ''}`;
  const size = weights.reduce((sum, { dims }) => sum + sizeOf(dims!), 0);
  const columns = weights[0].dims![isTransposed ? 0 : 1]!;
  let kept: Float32Array | undefined;
  const scales = (): Float32Array => (kept ??= stepsOf(weights, columns, isTransposed, saturates));
  const codes = (): Uint8Array => {
    const all = new Int8Array(size);
    const inverses = scales().map((scale) => 1 / scale);
    let at = 0;
    for (const weight of weights) {
      const own = all.subarray(at, (at += sizeOf(weight.dims!)));
      for (const block of blocksOfRows(weight)) (isTransposed ? transposed : straight)(block, inverses, own);
    }
    return new Uint8Array(all.buffer);
  };
  const computed = (own: TensorProto, length: number, compute: () => Uint8Array): TensorProto => {
    const origin = originOf(weights, `${own.name} ${saturates}`, isTransposed);
    return { ...own, rawData: { length, compute, ...(origin && { origin }) } };
  };
  const values: TensorProto = { name, dims: [size / columns, columns], dataType: dataTypeNumber('int8') };
  const steps: TensorProto = { name: `${name}/scales`, dims: [columns], dataType: dataTypeNumber('float32') };
  return {
    values: computed(values, size, codes),
    scales: computed(steps, 4 * columns, () => new Uint8Array(scales().slice().buffer)),
  };
}

/** Raised when the same weights are rounded to other numbers. */
const FORMAT = 1;

/** Known for weights in files that have an identity. */
function originOf(weights: readonly TensorProto[], what: string, isTransposed: boolean): BytesOrigin | undefined {
  const ranges = weights.map((weight) => {
    const raw = rawBytes(weight);
    return raw && isInFile(raw) && raw.identity !== undefined ? [raw, weight.dims, weight.dataType] : undefined;
  });
  if (ranges.includes(undefined)) return undefined;
  return {
    kind: isTransposed ? 'transposed int8 weights' : 'int8 weights',
    key: JSON.stringify([FORMAT, what, ranges]),
  };
}

/** Some rows of a matrix. */
interface RowBlock {
  readonly floats: Float32Array;
  /** Number of the first one, a multiple of {@link TOGETHER}. */
  readonly first: number;
  /** Rows of the whole matrix. */
  readonly rows: number;
  readonly columns: number;
}

/** Rows written together, so that writes share cache lines. */
const TOGETHER = 64;
/** Numbers read together: whole matrices in float32 would be the peak of a large model's start. */
const READ = 1 << 20;

function* blocksOfRows(weight: TensorProto): Generator<RowBlock> {
  const [rows, columns] = weight.dims as [number, number];
  const raw = rawBytes(weight);
  const isDivisible = raw !== undefined && (isInFile(raw) || raw instanceof Uint8Array);
  const step = isDivisible ? TOGETHER * Math.max(1, Math.floor(READ / columns / TOGETHER)) : rows;
  const { floatData: _, doubleData: __, ...own } = weight;
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const part = isDivisible
      ? { ...own, dims: [count, columns], rawData: rangeOf(raw, (first * raw.length) / rows, (count * raw.length) / rows) }
      : weight; // prettier-ignore
    yield { floats: readFloats(part), first, rows, columns };
  }
}

function rangeOf(bytes: FileSlice | Uint8Array, offset: number, length: number): FileSlice | Uint8Array {
  if (bytes instanceof Uint8Array) return bytes.subarray(offset, offset + length);
  return { ...bytes, offset: bytes.offset + offset, length };
}

function straight({ floats, first, columns }: RowBlock, inverses: Float32Array, values: Int8Array): void {
  for (let i = 0, at = first * columns; i < floats.length;) {
    for (let column = 0; column < columns; column++, i++, at++)
      values[at] = floats[i]! * inverses[column]! + ROUND - ROUND;
  }
}

/** Adding and subtracting it rounds a small number, several times as fast as `Math.round`. */
const ROUND = 1.5 * 2 ** 52;

function transposed({ floats, first, rows, columns }: RowBlock, inverses: Float32Array, values: Int8Array): void {
  const end = first + floats.length / columns;
  for (let from = first; from < end; from += TOGETHER) {
    const to = Math.min(end, from + TOGETHER);
    for (let column = 0; column < columns; column++) {
      for (let row = from, at = column * rows + from; row < to; row++, at++)
        values[at] = floats[(row - first) * columns + column]! * inverses[row]! + ROUND - ROUND;
    }
  }
}

/** The size of a step of each column, or of each row of transposed weights. */
function stepsOf(
  weights: readonly TensorProto[],
  columns: number,
  isTransposed: boolean,
  saturates: boolean,
): Float32Array {
  const most = new Float32Array(columns);
  for (const weight of weights)
    for (const block of blocksOfRows(weight)) (isTransposed ? largestOfRows : largestOfColumns)(block, saturates, most);
  return most.map((each) => each / STEPS || 1);
}

/** Raises each row's largest magnitude; with `ofPairs` also that of the sum of two neighbors of one sign. */
function largestOfRows({ floats, first, columns }: RowBlock, ofPairs: boolean, most: Float32Array): void {
  const share = ofPairs ? 1 : 0;
  for (let i = 0, row = first; i < floats.length; row++) {
    let before = 0;
    let found = most[row]!;
    for (let column = 0; column < columns; column++, i++) {
      const value = floats[i]!;
      found = Math.max(found, Math.abs(value), share * (column & 1) * Math.abs(value + before));
      before = value;
    }
    most[row] = found;
  }
}

/** Likewise of columns. */
function largestOfColumns({ floats, columns }: RowBlock, ofPairs: boolean, most: Float32Array): void {
  // Blocks begin with even rows.
  for (let row = 0, i = 0; i < floats.length; row++) {
    const ofPair = ofPairs ? row & 1 : 0;
    for (let column = 0; column < columns; column++, i++) {
      const value = floats[i]!;
      const before = ofPair === 0 ? 0 : floats[i - columns]!;
      most[column] = Math.max(most[column]!, Math.abs(value), ofPair * Math.abs(value + before));
    }
  }
}
