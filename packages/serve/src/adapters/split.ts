/** @file Requests for one name that go to several adapters. */

import { createHash } from 'node:crypto';
import type { Share } from './manifest.ts';

/**
 * The part that a request falls to. With a key it is always the same while the weights are; where the last part of two grows,
 * those who have it keep it.
 *
 * @param random a number from 0 to 1, for requests without a key
 */
export function chosenShare(shares: readonly Share[], sticky: string | undefined, random: () => number): Share {
  const whole = shares.reduce((sum, { weight }) => sum + weight, 0);
  let left = (sticky === undefined ? random() : hashed(sticky)) * whole;
  return shares.find(({ weight }) => (left -= weight) < 0) ?? shares.at(-1)!;
}

/** A number from 0 to 1, evenly spread over keys. */
function hashed(key: string): number {
  return createHash('sha256').update(key).digest().readUIntBE(0, 6) / 2 ** 48;
}
