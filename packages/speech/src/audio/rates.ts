/** @file Checks of sample rates. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/** @throws OnnxLoraError `INPUT_INVALID` when a rate is not a positive integer */
export function checkRates(...rates: readonly number[]): void {
  for (const rate of rates) {
    if (!Number.isSafeInteger(rate) || rate < 1) {
      throw new OnnxLoraError('INPUT_INVALID', `A sample rate must be a positive whole number of Hz, not ${rate}.`);
    }
  }
}

/** The largest number that divides both: what two rates have in common. */
export function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
