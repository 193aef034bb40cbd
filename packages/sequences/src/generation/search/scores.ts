/** @file Selects tokens by score: the best, their log-probabilities, and a sample. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Random } from '@onnx-lora/sdk/data';

/** Place of the greatest; the first of equal ones, and −1 where all are −∞ or no number. */
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

/** A token by chance, each with the probability that softmax(scores ÷ temperature) gives it; −1 where all are −∞. */
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
  // Rounding leaves the rest to the most probable.
  return at;
}

/** Places of the `count` greatest, best first; the first of equal ones comes first. Those that are −∞ are left out. */
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
 * A token that was chosen.
 * @throws OnnxLoraError `RUNTIME_FAILED` for −1: the scores are no numbers
 */
export function chosen(token: number): number {
  if (token >= 0) return token;
  throw new OnnxLoraError(
    'RUNTIME_FAILED',
    'The model gives no token a score that is a number. Check what it is fed and the adapter for values that are no numbers.',
  );
}
