/** @file A frozen matrix as integers of eight bits, with a scale for each of its columns. */

import { dataTypeNumber } from '../../graph/dataType.ts';
import type { TensorProto } from '../../graph/proto.ts';
import { readFloats, tensorProto } from '../../graph/tensorData.ts';
import { float32, sizeOf } from '../../runtime/tensor.ts';

/** A matrix `[in, out]` that stands for `values · scales`. */
export interface IntegerWeight {
  /** int8 `[in, out]`; computed when it is written. */
  readonly values: TensorProto;
  /** float32 `[out]`. */
  readonly scales: TensorProto;
}

/** What 127 stands for; with it, two rounded neighbours of one sign are at most 128 together. */
const STEPS = 127;

/**
 * Rounds a float32 matrix to the nearest of 255 steps that are symmetric around zero and as small as the largest number of each
 * column allows. Where sums saturate, as small as the largest sum of two neighbours along `in` allows: 255 times 128 is what 16
 * bits hold. That is about seven and a half bits, and nothing is cut off. A tensor is rounded once, for all graphs that have it.
 *
 * @param weights of one matrix its parts along `in`, one after the other
 * @param isTransposed whether the matrix is meant with its axes exchanged; then each of its rows has a scale
 * @param saturates whether products of two neighbours are added in 16 bits
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

/** Added to a small number, it leaves no place for what is behind the point: several times as fast as `Math.round`. */
const ROUND = 1.5 * 2 ** 52;
/** Rows that are written side by side, so that what they write shares cache lines. */
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

/** The largest magnitude in each column, or in each row; of pairs, that of two neighbours of one sign is their sum. */
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
