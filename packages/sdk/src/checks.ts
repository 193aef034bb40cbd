/** @file Checks of a caller's numbers and words. */

import { didYouMean, OnnxLoraError } from './errors.ts';

/** The largest seed: generators are seeded with 32 bits. */
export const MAX_SEED: number = 2 ** 32 - 1;

function checked(name: string, value: number, isRight: boolean, range: string): number {
  if (isRight) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a ${range}, but it is ${value}.`);
}

/** Requires a number in `[low, high)`. @throws OnnxLoraError `CONFIG_INVALID` naming the option */
export function numberIn(name: string, value: number, low: number, high: number): number {
  return checked(name, value, value >= low && value < high, `number from ${low} up to ${high}`);
}

/** Requires a finite number of at least 0. @throws OnnxLoraError `CONFIG_INVALID` naming the option */
export function notNegative(name: string, value: number): number {
  return checked(name, value, Number.isFinite(value) && value >= 0, 'number of 0 or more');
}

/** Requires a finite number above 0. @throws OnnxLoraError `CONFIG_INVALID` naming the option */
export function positive(name: string, value: number): number {
  return checked(name, value, Number.isFinite(value) && value > 0, 'number above 0');
}

/** Requires an integer from `least` to `most`. @throws OnnxLoraError `CONFIG_INVALID` naming the option */
export function whole(name: string, value: number, least: 0 | 1 = 1, most: number = 1_000_000_000): number {
  const range = value > most ? `from ${least} to ${most}` : `of at least ${least}`;
  return checked(name, value, Number.isInteger(value) && value >= least && value <= most, `whole number ${range}`);
}

/** Requires one of `words`. @throws OnnxLoraError `CONFIG_INVALID` naming the option */
export function oneOf<Word extends string>(name: string, value: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `${name} must be one of ${words.map((word) => `"${word}"`).join(', ')}, but it is ${JSON.stringify(value)}.${didYouMean(String(value), words)}`,
  );
}
