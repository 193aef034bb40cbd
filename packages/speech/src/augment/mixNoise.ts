/** @file Adds one sound to another at a given ratio. */

/**
 * `samples + k · noise`, with k such that the power of the samples is `decibels` above that of what is added. Silence, and noise
 * that is silent, change nothing.
 *
 * @param noise as long as `samples`
 */
export function mixNoise(samples: Float32Array, noise: Float32Array, decibels: number): Float32Array {
  const [signalPower, noisePower] = [power(samples), power(noise)];
  if (signalPower === 0 || noisePower === 0) return samples;
  const k = Math.sqrt(signalPower / noisePower / 10 ** (decibels / 10));
  return samples.map((sample, i) => sample + k * noise[i]!);
}

/** Σ x². */
function power(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return sum;
}
