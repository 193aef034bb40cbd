/** @file Checks of numbers that a user gave. */

import { OnnxLoraError } from '../../errors.ts';

/**
 * A number above 0.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function positive(name: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number above 0, but it is ${value}.`);
}

/**
 * A whole number of at least `least`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`
 */
export function whole(name: string, value: number, least: 0 | 1 = 1): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a whole number of at least ${least}, but it is ${value}.`);
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
    `${name} must be one of ${words.map((word) => `"${word}"`).join(', ')}, but it is ${JSON.stringify(value)}.`,
  );
}
