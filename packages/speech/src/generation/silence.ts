/** @file Sound in which there is nothing. */

/** Half a step of 16-bit samples. */
const NOTHING = 2 ** -16;

/** Whether no sample is louder than what 16 bits round to 0. A model that hears this may well write something. */
export function isSilent(samples: Float32Array): boolean {
  return samples.every((sample) => Math.abs(sample) < NOTHING);
}
