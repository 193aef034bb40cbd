/** @file A frozen matrix as integers of eight bits, with a scale for each of its columns. */

import { dataTypeNumber } from '../../graph/dataType.ts';
import type { TensorProto } from '../../graph/proto.ts';
import { readFloats, tensorProto } from '../../graph/tensorData.ts';
import { float32 } from '../../runtime/tensor.ts';

/** Bits of a weight: 7 on processors whose products of eight bits saturate. */
export type WeightBits = 7 | 8;

/** A matrix `[in, out]` that stands for `values · scales`. */
export interface IntegerWeight {
  /** int8 `[in, out]`; computed when it is written. */
  readonly values: TensorProto;
  /** float32 `[out]`. */
  readonly scales: TensorProto;
}

/**
 * Rounds a float32 matrix to the nearest of `2^bits − 1` steps that are symmetric around zero and as small as the largest
 * number of each column allows.
 *
 * @param isTransposed whether the matrix is meant with its axes exchanged; then each of its rows has a scale
 */
export function integerWeight(
  weight: TensorProto,
  name: string,
  isTransposed: boolean,
  bits: WeightBits,
): IntegerWeight {
  const [rows, columns] = weight.dims as [number, number];
  const highest = 2 ** (bits - 1) - 1;
  const scales = largest(readFloats(weight), columns, isTransposed).map((most) => most / highest || 1);
  const compute = (): Uint8Array => {
    const floats = readFloats(weight);
    const values = new Int8Array(floats.length);
    for (let row = 0, at = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++, at++) {
        if (isTransposed) values[column * rows + row] = Math.round(floats[at]! / scales[row]!);
        else values[at] = Math.round(floats[at]! / scales[column]!);
      }
    }
    return new Uint8Array(values.buffer);
  };
  const dims = isTransposed ? [columns, rows] : [rows, columns];
  return {
    values: { name, dims, dataType: dataTypeNumber('int8'), rawData: { length: rows * columns, compute } },
    scales: tensorProto(`${name}/scales`, float32(scales, [scales.length])),
  };
}

/** The largest magnitude in each column, or in each row. */
function largest(floats: Float32Array, columns: number, ofRows: boolean): Float32Array {
  const most = new Float32Array(ofRows ? floats.length / columns : columns);
  for (let row = 0, at = 0; at < floats.length; row++) {
    for (let column = 0; column < columns; column++, at++) {
      const value = Math.abs(floats[at]!);
      const i = ofRows ? row : column;
      if (value > most[i]!) most[i] = value;
    }
  }
  return most;
}
