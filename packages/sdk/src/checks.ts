/** @file Checks of the numbers and words that a caller gives. */

import { didYouMean, OnnxLoraError } from './errors.ts';

/** The largest seed: random numbers are made from 32 bits of it. */
export const MAX_SEED: number = 2 ** 32 - 1;

/** The number where it is as it must be. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
function checked(name: string, value: number, isRight: boolean, range: string): number {
  if (isRight) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a ${range}, but it is ${value}.`);
}

/** The number, when it lies in `[low, high)`. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
export function numberIn(name: string, value: number, low: number, high: number): number {
  return checked(name, value, value >= low && value < high, `number from ${low} up to ${high}`);
}

/** The number, when it is finite and not below 0. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
export function notNegative(name: string, value: number): number {
  return checked(name, value, Number.isFinite(value) && value >= 0, 'number of 0 or more');
}

/** The number, when it is finite and above 0. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
export function positive(name: string, value: number): number {
  return checked(name, value, Number.isFinite(value) && value > 0, 'number above 0');
}

/**
 * A whole number of at least `least`.
 *
 * @param most what nobody needs more of; memory or time would end before
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function whole(name: string, value: number, least: 0 | 1 = 1, most: number = 1_000_000_000): number {
  const range = value > most ? `from ${least} to ${most}` : `of at least ${least}`;
  return checked(name, value, Number.isSafeInteger(value) && value >= least && value <= most, `whole number ${range}`);
}

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
