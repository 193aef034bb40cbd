/** @file How far the outputs of two runs are apart. */

import { fromHalves } from '../halfFloat.ts';
import type { Tensor, TensorData } from '../tensor.ts';

/** The output that differs most, and by how much. */
export interface OutputDifference {
  readonly output: string;
  /**
   * The largest difference in parts of the largest magnitude that was expected; where elements are no floating-point
   * numbers, the part of them that differs. Infinite for other shapes, and for a value that is no number where one was
   * expected.
   */
  readonly difference: number;
}

/** Compares outputs by name with those that were expected. */
export function outputDifference(
  actual: Readonly<Record<string, Tensor>>,
  expected: Readonly<Record<string, Tensor>>,
): OutputDifference {
  let worst: OutputDifference = { output: Object.keys(expected)[0] ?? '', difference: 0 };
  for (const [output, tensor] of Object.entries(expected)) {
    const own = actual[output];
    const difference = own === undefined ? Infinity : tensorDifference(own, tensor);
    if (difference > worst.difference) worst = { output, difference };
  }
  return worst;
}

function tensorDifference(actual: Tensor, expected: Tensor): number {
  if (actual.type !== expected.type || actual.dims.join() !== expected.dims.join()) return Infinity;
  if (expected.type === 'float32' || expected.type === 'float64') {
    return floatDifference(actual.data as Float32Array, expected.data as Float32Array);
  }
  if (expected.type === 'float16') {
    return floatDifference(halfFloats(actual.data), halfFloats(expected.data));
  }
  let differing = 0;
  for (let i = 0; i < expected.data.length; i++) if (actual.data[i] !== expected.data[i]) differing++;
  return differing / Math.max(1, expected.data.length);
}

function floatDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [largest, worst] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    if (Number.isFinite(a) && Number.isFinite(b)) {
      largest = Math.max(largest, Math.abs(b));
      worst = Math.max(worst, Math.abs(a - b));
      // Infinities (of a mask) and values that are no numbers must be the same.
    } else if (!Object.is(a, b)) return Infinity;
  }
  // Where zeros were expected, the difference itself.
  return largest === 0 ? worst : worst / largest;
}

/** The numbers of a float16 tensor: ONNX Runtime hands out bits, and numbers where Node has an array for them. */
function halfFloats(data: TensorData): ArrayLike<number> {
  return data instanceof Uint16Array ? fromHalves(data) : (data as Float32Array);
}
