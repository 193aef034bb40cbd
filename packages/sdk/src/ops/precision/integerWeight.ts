/** @file Quantizes a frozen matrix to int8 with a scale per column. */

import { dataTypeNumber } from '../../graph/dataType.ts';
import type { TensorProto } from '../../graph/proto.ts';
import { readFloats, tensorProto } from '../../graph/tensorData.ts';
import { float32, sizeOf } from '../../runtime/tensor.ts';

/** A matrix `[in, out]` as `values · scales`. */
export interface IntegerWeight {
  /** int8 `[in, out]`, computed on write. */
  readonly values: TensorProto;
  /** float32 `[out]`. */
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
  const columnsOf = ({ dims }: TensorProto): number => dims![1]!;
  const scales = weights
    .map((weight) => largest(readFloats(weight), columnsOf(weight), isTransposed, saturates))
    .reduce((most, own) => most.map((value, i) => Math.max(value, own[i]!)))
    .map((most) => most / STEPS || 1);
  const inverses = scales.map((scale) => 1 / scale);
  const compute = (): Uint8Array => {
    const all = new Uint8Array(size);
    let at = 0;
    for (const weight of weights) {
      const floats = readFloats(weight);
      const values = isTransposed ? transposed(floats, scales.length, inverses) : straight(floats, inverses);
      all.set(new Uint8Array(values.buffer), at);
      at += values.length;
    }
    return all;
  };
  const size = weights.reduce((sum, { dims }) => sum + sizeOf(dims!), 0);
  const dims = [size / scales.length, scales.length];
  return {
    values: { name, dims, dataType: dataTypeNumber('int8'), rawData: { length: size, compute } },
    scales: tensorProto(`${name}/scales`, float32(scales, [scales.length])),
  };
}

function straight(floats: Float32Array, inverses: Float32Array): Int8Array {
  const values = new Int8Array(floats.length);
  const columns = inverses.length;
  for (let at = 0; at < floats.length;) {
    for (let column = 0; column < columns; column++, at++) values[at] = floats[at]! * inverses[column]! + ROUND - ROUND;
  }
  return values;
}

/** Adding and subtracting it rounds a small number, several times as fast as `Math.round`. */
const ROUND = 1.5 * 2 ** 52;
/** Rows written together, so that writes share cache lines. */
const BLOCK = 64;

function transposed(floats: Float32Array, rows: number, inverses: Float32Array): Int8Array {
  const values = new Int8Array(floats.length);
  const columns = floats.length / rows;
  for (let first = 0; first < rows; first += BLOCK) {
    const end = Math.min(rows, first + BLOCK);
    for (let column = 0; column < columns; column++) {
      for (let row = first, at = column * rows + first; row < end; row++, at++)
        values[at] = floats[row * columns + column]! * inverses[row]! + ROUND - ROUND;
    }
  }
  return values;
}

/** The largest magnitude of each column or row; with `ofPairs` also of the sum of two neighbors of one sign. */
function largest(floats: Float32Array, columns: number, ofRows: boolean, ofPairs: boolean): Float32Array {
  const rows = floats.length / columns;
  const most = new Float32Array(ofRows ? rows : columns);
  const share = ofPairs ? 1 : 0;
  if (ofRows) {
    for (let row = 0, at = 0; row < rows; row++) {
      let before = 0;
      let found = 0;
      for (let column = 0; column < columns; column++, at++) {
        const value = floats[at]!;
        found = Math.max(found, Math.abs(value), share * (column & 1) * Math.abs(value + before));
        before = value;
      }
      most[row] = found;
    }
    return most;
  }
  for (let row = 0, at = 0; row < rows; row++) {
    const ofPair = share * (row & 1);
    for (let column = 0; column < columns; column++, at++) {
      const value = floats[at]!;
      const before = ofPair === 0 ? 0 : floats[at - columns]!;
      most[column] = Math.max(most[column]!, Math.abs(value), ofPair * Math.abs(value + before));
    }
  }
  return most;
}
