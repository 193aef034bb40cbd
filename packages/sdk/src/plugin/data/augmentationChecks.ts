/** @file Refuses settings of augmentations that make no sense. */

import { OnnxLoraError } from '../../errors.ts';

/** Lowest and highest value that may be drawn. */
export type Range = readonly [low: number, high: number];

/** An error about the setting `name` of an augmentation, to be thrown. */
export function badSetting(name: string, expected: string, found: unknown): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    `The setting "${name}" of an augmentation must be ${expected}, but is ${JSON.stringify(found)}. Correct it.`,
  );
}

/**
 * `value`, a share from 0 to 1.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for any other number
 */
export function checkShare(name: string, value: number): number {
  if (value >= 0 && value <= 1) return value;
  throw badSetting(name, 'between 0 and 1', value);
}

/**
 * `range`, both ends at least `least` and at most `most`, in order.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for any other range
 */
export function checkRange(name: string, range: Range, least: number, most: number = Infinity): Range {
  const [low, high] = range;
  if (low >= least && high >= low && high <= most) return range;
  const bounds = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
  throw badSetting(name, `two numbers ${bounds}, the lower one first`, range);
}

/**
 * `value`, a whole number from `least` to `most`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for any other number
 */
export function checkWhole(name: string, value: number, least: number, most: number = Infinity): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw badSetting(
    name,
    most === Infinity ? `a whole number of at least ${least}` : `a whole number from ${least} to ${most}`,
    value,
  );
}
