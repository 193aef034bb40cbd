/** @file Whether ONNX Runtime's products of integers are exact on this processor. */

import { measureSaturation } from '../../packages/sdk/src/model/loaded/machineArithmetic.ts';
import { OrtRuntime } from '../../packages/sdk/src/runtime/ort.ts';

/**
 * x86 processors without VNNI add two products of uint8 and int8 in 16 bits, and cut the sum off: such a model computes
 * something else there, in any ONNX Runtime. Weights of 7 bits (`reduce_range` of its quantiser) are what helps.
 */
export const integersAreExact: boolean = !(await measureSaturation(new OrtRuntime()));

/** How far a result may be off, of a layer that computes with integers if its tolerance says so (0.06). */
export function integerTolerance(tolerance: number): number {
  return integersAreExact || tolerance < 0.06 ? tolerance : 0.6;
}
