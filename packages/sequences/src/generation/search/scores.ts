/** @file Selects tokens by score: the best, or a sample. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Random } from '@onnx-lora/sdk/data';

/** Argmax; the first of equal ones, and −1 if all are −∞ or NaN. */
export function best(scores: Float32Array): number {
  let at = -1;
  let greatest = -Infinity;
  for (let i = 0; i < scores.length; i++) {
    if (scores[i]! > greatest) {
      greatest = scores[i]!;
      at = i;
    }
  }
  return at;
}

/** Samples a token from softmax(scores ÷ temperature); −1 if all are −∞. */
export function drawn(scores: Float32Array, temperature: number, random: Random): number {
  const at = best(scores);
  if (at < 0) return -1;
  const greatest = scores[at]!;
  let sum = 0;
  for (const score of scores) sum += Math.exp((score - greatest) / temperature);
  let left = random.next() * sum;
  for (let i = 0; i < scores.length; i++) {
    left -= Math.exp((scores[i]! - greatest) / temperature);
    if (left < 0) return i;
  }
  // Rounding errors go to the most probable.
  return at;
}

/** Places of the `count` greatest scores, best first, ties in order; places with −∞ are left out. */
export function bestOf(scores: Float32Array, count: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!;
    if (found.length === count && !(score > scores[found[count - 1]!]!)) continue;
    if (!(score > -Infinity)) continue;
    let place = found.length;
    while (place > 0 && score > scores[found[place - 1]!]!) place--;
    found.splice(place, 0, i);
    if (found.length > count) found.pop();
  }
  return found;
}

/**
 * Checks that a token was found.
 * @throws OnnxLoraError `RUNTIME_FAILED` for −1, the result of NaN scores
 */
export function chosen(token: number): number {
  if (token >= 0) return token;
  throw new OnnxLoraError(
    'RUNTIME_FAILED',
    'The model gives no token a score that is a number. Check what it is fed and the adapter for values that are no numbers.',
  );
}
