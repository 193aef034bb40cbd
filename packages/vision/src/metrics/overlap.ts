/** @file How well two masks of zeros and ones agree. */

/** Pixels in both masks, and in either. */
export interface Overlap {
  readonly both: number;
  readonly either: number;
}

/** Counts pixels of two masks of one size. */
export function overlapOf(found: Uint8Array, truth: Uint8Array): Overlap {
  let [both, either] = [0, 0];
  for (let i = 0; i < truth.length; i++) {
    both += found[i]! & truth[i]!;
    either += found[i]! | truth[i]!;
  }
  return { both, either };
}

/** Intersection over union; 1 where both masks are empty. */
export function intersectionOverUnion({ both, either }: Overlap): number {
  return either === 0 ? 1 : both / either;
}

/** `2·|A ∩ B| ÷ (|A| + |B|)`; 1 where both masks are empty. */
export function diceScore({ both, either }: Overlap): number {
  return either === 0 ? 1 : (2 * both) / (either + both);
}
