/** @file Measures the difference between the outputs of two runs. */

import { fromHalves } from '../halfFloat.ts';
import type { Tensor, TensorData } from '../tensor.ts';

/** The output that differs most, and by how much. */
export interface OutputDifference {
  readonly output: string;
  /**
   * Relative to the largest expected magnitude; for other types than floats, the fraction of differing elements.
   * Infinite for other shapes and for unexpected NaN.
   */
  readonly difference: number;
}

/** Compares outputs with the expected ones by name. */
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
      // Infinities (of a mask) and NaN must match exactly.
    } else if (!Object.is(a, b)) return Infinity;
  }
  // Absolute difference if zeros were expected.
  return largest === 0 ? worst : worst / largest;
}

/** The numbers of a float16 tensor: ONNX Runtime returns bits, or numbers where Node has a Float16Array. */
function halfFloats(data: TensorData): ArrayLike<number> {
  return data instanceof Uint16Array ? fromHalves(data) : (data as Float32Array);
}
