/** @file Checks of the numbers that a caller gives. */

import { OnnxLoraError } from '../../errors.ts';

/** The number where it is as it must be. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
function checked(name: string, value: number, isRight: boolean, range: string): number {
  if (isRight) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number ${range}, but it is ${value}.`);
}

/** The number, when it lies in `[low, high)`. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
export function numberIn(name: string, value: number, low: number, high: number): number {
  return checked(name, value, value >= low && value < high, `from ${low} up to ${high}`);
}

/** The number, when it is finite and not below 0. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
export function notNegative(name: string, value: number): number {
  return checked(name, value, Number.isFinite(value) && value >= 0, 'of 0 or more');
}

/** The number, when it is finite and above 0. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
export function positive(name: string, value: number): number {
  return checked(name, value, Number.isFinite(value) && value > 0, 'above 0');
}
