/** @file Gradient clipping. */

import { notNegative } from '../checks.ts';
import type { Transformation } from './transformation.ts';
import { multiply, slices, sumOfSquares } from './turns.ts';

/** Clips gradients by their global norm, or each element by value. */
export type ClipOptions = { readonly norm: number } | { readonly value: number };

/** The Euclidean norm of all gradients together. */
export function* normOf(gradients: Iterable<Float32Array>): Generator<void, number> {
  let sum = 0;
  for (const gradient of gradients) sum += yield* sumOfSquares(gradient);
  return Math.sqrt(sum);
}

/** Clips gradients as torch does. @throws OnnxLoraError `CONFIG_INVALID` for a bound below 0 */
export function clip(options: ClipOptions): Transformation {
  const bound = notNegative('clip', 'norm' in options ? options.norm : options.value);
  return {
    name: 'clip',
    *gradients(gradients, { norm }) {
      // torch adds 1e-6 to avoid a division by 0.
      const factor = bound / (norm + 1e-6);
      for (const gradient of gradients.values()) {
        if (!('norm' in options)) yield* clamp(gradient, bound);
        else if (factor < 1) yield* multiply(gradient, factor);
      }
    },
  };
}

function clamp(values: Float32Array, bound: number): Generator<void, void> {
  return slices(values.length, (from, to) => {
    for (let i = from; i < to; i++) {
      const g = values[i]!;
      values[i] = g > bound ? bound : g < -bound ? -bound : g;
    }
  });
}
