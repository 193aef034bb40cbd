/** @file Bounds on gradients. */

import { multiply, slices, sumOfSquares } from './turns.ts';

/** How gradients are bounded: all together by their norm, or each number by its size. */
export type ClipOptions = { readonly norm: number } | { readonly value: number };

/** The Euclidean norm of all gradients together. */
export function* normOf(gradients: Iterable<Float32Array>): Generator<void, number> {
  let sum = 0;
  for (const gradient of gradients) sum += yield* sumOfSquares(gradient);
  return Math.sqrt(sum);
}

/**
 * Bounds gradients in place, in slices.
 *
 * @param norm that of all gradients together
 * @see torch.nn.utils.clip_grad_norm_ and clip_grad_value_
 */
export function* clipInSlices(
  gradients: Iterable<Float32Array>,
  norm: number,
  clip: ClipOptions,
): Generator<void, void> {
  if ('norm' in clip) {
    // torch adds 1e-6, so that a norm of 0 divides nothing by 0.
    const factor = clip.norm / (norm + 1e-6);
    if (factor < 1) for (const gradient of gradients) yield* multiply(gradient, factor);
    return;
  }
  const bound = clip.value;
  for (const gradient of gradients) {
    yield* slices(gradient.length, (from, to) => {
      for (let i = from; i < to; i++) {
        const g = gradient[i]!;
        gradient[i] = g > bound ? bound : g < -bound ? -bound : g;
      }
    });
  }
}
