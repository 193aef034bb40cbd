/** @file Checks of the numbers that a caller gives, and arrays of zeros. */

import { OnnxLoraError } from '../../errors.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** The number where it is as it must be. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
function checked(name: string, value: number, isRight: boolean, range: string): number {
  if (isRight) return value;
  throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a number ${range}, but it is ${value}.`);
}

/** The number, when it lies in `[low, high)`. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
export function numberIn(name: string, value: number, low: number, high: number): number {
  return checked(name, value, value >= low && value < high, `from ${low} up to ${high}`);
}

/** Both numbers, when they lie in `[0, 1)`. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
export function fractions(name: string, [first, second]: readonly [number, number]): readonly [number, number] {
  return [numberIn(`${name}[0]`, first, 0, 1), numberIn(`${name}[1]`, second, 0, 1)];
}

/** The number, when it is finite and not below 0. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
export function notNegative(name: string, value: number): number {
  return checked(name, value, Number.isFinite(value) && value >= 0, 'of 0 or more');
}

/** The number, when it is finite and above 0. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
export function positive(name: string, value: number): number {
  return checked(name, value, Number.isFinite(value) && value > 0, 'above 0');
}

/** The number, when it is finite and not above 0. @throws OnnxLoraError `CONFIG_INVALID` naming the option otherwise */
export function notPositive(name: string, value: number): number {
  return checked(name, value, Number.isFinite(value) && value <= 0, 'of 0 or less');
}

/** As many zeros as a tensor of this shape has numbers. */
export function zeros(dims: readonly number[]): Float32Array {
  return new Float32Array(sizeOf(dims));
}
