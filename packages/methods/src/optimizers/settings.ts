/** @file Settings of optimizers: those that there are, each of its kind and in its range. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import { sizeOf } from '../tuners/tensors.ts';

/** What a setting must be, and what it is where nothing is said. */
export interface Rule<T> {
  readonly default: T;
  readonly is: (value: unknown) => boolean;
  /** The end of a sentence: `must be` … */
  readonly range: string;
}

/** As many zeros as a tensor of this shape has numbers. */
export function zeros(dims: readonly number[]): Float32Array {
  return new Float32Array(sizeOf(dims));
}

/** The settings, checked and with their defaults. @throws OnnxLoraError `CONFIG_INVALID` naming the setting */
export function settingsOf<T extends object>(
  optimizer: string,
  given: Readonly<Record<string, unknown>>,
  rules: { readonly [Key in keyof T]: Rule<T[Key]> },
): T {
  const known = Object.keys(rules);
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The optimizer ${optimizer} has no setting "${unknown}".${didYouMean(unknown, known)} It has ${known.join(', ')}.`,
    );
  const entries = Object.entries<Rule<unknown>>(rules).map(([key, rule]) => {
    const value = given[key] ?? rule.default;
    if (rule.is(value)) return [key, value] as const;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `${key} of ${optimizer} must be ${rule.range}, but it is ${JSON.stringify(value)}.`,
    );
  });
  return Object.fromEntries(entries) as T;
}

/** A number of 0 or more. */
export function notNegative(value: number): Rule<number> {
  return { default: value, is: (each) => isFinite(each) && each >= 0, range: 'a number of 0 or more' };
}

/** A number from 0 to below 1. */
export function fraction(value: number): Rule<number> {
  return { default: value, is: isFraction, range: 'a number from 0 to below 1' };
}

/** Two numbers from 0 to below 1. */
export function fractions(first: number, second: number): Rule<readonly [number, number]> {
  return {
    default: [first, second],
    is: (value) => Array.isArray(value) && value.length === 2 && value.every(isFraction),
    range: 'two numbers from 0 to below 1',
  };
}

/** One of some values. */
export function oneOf<T extends string | boolean>(...values: readonly [T, ...T[]]): Rule<T> {
  return { default: values[0], is: (value) => values.includes(value as T), range: `one of ${values.join(', ')}` };
}

function isFinite(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isFraction(value: unknown): boolean {
  return isFinite(value) && value >= 0 && value < 1;
}
