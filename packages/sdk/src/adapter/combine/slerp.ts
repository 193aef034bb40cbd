/** @file Spherical interpolation between two low-rank deltas. */

import { innerProduct, type Product } from './lowRank.ts';

/** Nearer to a line than this cosine, the arc is one. */
const STRAIGHT = 0.9995;

/**
 * What two deltas are multiplied with to reach the point at `t` of the arc between them: sin((1−t)·θ) / sin θ and
 * sin(t·θ) / sin θ, where θ is the angle between the deltas as vectors. `1 − t` and `t` where θ or π − θ is small, or one
 * delta is zero.
 *
 * @see Shoemake, Animating rotation with quaternion curves, 1985, §3.3; per tensor as merging tools use it
 * @param first, second the scaled deltas, a product per group of a layer
 */
export function slerpFactors(first: readonly Product[], second: readonly Product[], t: number): [number, number] {
  const inner = (a: readonly Product[], b: readonly Product[]): number =>
    a.reduce((sum, each, g) => sum + innerProduct(each, b[g]!), 0);
  const lengths = Math.sqrt(inner(first, first) * inner(second, second));
  const cosine = lengths > 0 ? inner(first, second) / lengths : 1;
  if (Math.abs(cosine) > STRAIGHT) return [1 - t, t];
  const angle = Math.acos(cosine);
  return [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
}
