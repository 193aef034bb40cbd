/** @file Random shares: the distribution that mixes of two examples are drawn from. */

import type { Random } from '@onnx-lora/sdk/core';

/** A share from 0 to 1 of the symmetric Beta distribution: even for `alpha` 1, near 0 or 1 for smaller, near a half for larger. */
export function beta(alpha: number, random: Random): number {
  // For small alpha both logarithms are far below 0, where the numbers themselves would be 0.
  const [a, b] = [logGamma(alpha, random), logGamma(alpha, random)];
  return 1 / (1 + Math.exp(b - a));
}

/**
 * The logarithm of a draw of the Gamma distribution with scale 1.
 *
 * @see https://doi.org/10.1145/358407.358414 Marsaglia and Tsang, "A simple method for generating gamma variables"
 */
function logGamma(shape: number, random: Random): number {
  if (shape < 1) return logGamma(shape + 1, random) + Math.log(1 - random.next()) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v);
  }
}
