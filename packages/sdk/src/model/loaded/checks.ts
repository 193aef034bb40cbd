/** @file Checks of numbers that a user gave. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';

/**
 * A number above 0.
 *
 * @param most what nobody needs more of
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function positive(name: string, value: number, most: number = Number.MAX_VALUE): number {
  if (Number.isFinite(value) && value > 0 && value <= most) return value;
  const range = value > most && Number.isFinite(value) ? ` and not above ${most}` : '';
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number above 0${range}, but it is ${value}.`);
}

/**
 * A whole number of at least `least`.
 *
 * @param most what nobody needs more of; memory or time would end before
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function whole(name: string, value: number, least: 0 | 1 = 1, most: number = 1_000_000_000): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  const range = value > most ? `from ${least} to ${most}` : `of at least ${least}`;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a whole number ${range}, but it is ${value}.`);
}

/** The largest seed: random numbers are made from 32 bits of it. */
export const MAX_SEED: number = 2 ** 32 - 1;

/**
 * One of these words.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function oneOf<Word extends string>(name: string, value: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `${name} must be one of ${words.map((word) => `"${word}"`).join(', ')}, but it is ${JSON.stringify(value)}.${didYouMean(String(value), words)}`,
  );
}
