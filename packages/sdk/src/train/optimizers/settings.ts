/** @file Helpers for optimizers: validated settings with defaults, and arrays of zeros. */

import { OnnxLoraError } from '../../errors.ts';
import { requireKnownOptions } from '../../knownOptions.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** Range and default of a setting. */
export interface Rule<T> {
  /** The default. */
  readonly default: T;
  /** Whether a value is in range. */
  readonly is: (value: unknown) => boolean;
  /** The range in words, after `must be`. */
  readonly range: string;
}

/** Settings of an optimizer with their defaults: all options but its name. */
export type Settings<Options> = Required<Omit<Options, 'name'>>;

/**
 * Validates settings of an optimizer or a schedule, and adds defaults.
 * @example
 * const { momentum } = settingsOf<{ momentum: number }>('signum', given, { momentum: fraction(0.9) });
 * @throws OnnxLoraError `CONFIG_INVALID` naming the setting
 */
export function settingsOf<Options extends object>(
  owner: string,
  given: Readonly<Record<string, unknown>>,
  rules: { readonly [Key in keyof Settings<Options>]: Rule<Settings<Options>[Key]> },
  kind: 'optimizer' | 'schedule' = 'optimizer',
): Settings<Options> {
  requireKnownOptions(`The ${kind} ${owner}`, given, rules);
  const entries = Object.entries<Rule<unknown>>(rules).map(([key, rule]) => {
    const value = given[key] ?? rule.default;
    if (rule.is(value)) return [key, value] as const;
    const shown = typeof value === 'number' ? value : JSON.stringify(value);
    throw new OnnxLoraError('CONFIG_INVALID', `${key} of ${owner} must be ${rule.range}, but it is ${shown}.`);
  });
  return Object.fromEntries(entries) as Settings<Options>;
}

/** A number of 0 or more. */
export function notNegative(value: number): Rule<number> {
  return { default: value, is: (each) => isFinite(each) && each >= 0, range: 'a number of 0 or more' };
}

/** A number above 0. */
export function positive(value: number): Rule<number> {
  return { default: value, is: (each) => isFinite(each) && each > 0, range: 'a number above 0' };
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

/** One of some values; the first is the default. */
export function oneOf<T extends string | boolean>(...values: readonly [T, ...T[]]): Rule<T> {
  return { default: values[0], is: (value) => values.includes(value as T), range: `one of ${values.join(', ')}` };
}

/** Zeros for a tensor of this shape. */
export function zeros(dims: readonly number[]): Float32Array {
  return new Float32Array(sizeOf(dims));
}

function isFinite(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isFraction(value: unknown): boolean {
  return isFinite(value) && value >= 0 && value < 1;
}
