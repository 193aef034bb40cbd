/** @file Checks of the numbers that a caller gives. */

import { OnnxLoraError } from '../../errors.ts';

/**
 * The number, when it lies in `[low, high)`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise
 */
export function numberIn(name: string, value: number, low: number, high: number): number {
  if (value >= low && value < high) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number from ${low} up to ${high}, but it is ${value}.`);
}

/**
 * The number, when it is finite and not below 0.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise
 */
export function notNegative(name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number of 0 or more, but it is ${value}.`);
}

/**
 * The number, when it is finite and above 0.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise
 */
export function positive(name: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number above 0, but it is ${value}.`);
}

/**
 * The number, when it is finite and not above 0.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise
 */
export function notPositive(name: string, value: number): number {
  if (Number.isFinite(value) && value <= 0) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number of 0 or less, but it is ${value}.`);
}
