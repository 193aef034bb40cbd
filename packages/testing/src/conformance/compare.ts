/** @file Whether two tensors agree, as closely as float32 allows between two implementations. */

import type { Tensor } from '@onnx-lora/sdk';
import { readFloats, tensorProto } from '@onnx-lora/sdk/plugin';

/**
 * How far a value may be off. Elements: at most `atol + rtol · |expected|` each. Scale: at most `ofLargest` times the
 * tensor's largest magnitude, as elements of a gradient lose digits to their neighbours. Rms: norm of the difference
 * over norm of the expected.
 */
export type Tolerance =
  { readonly rtol: number; readonly atol: number } | { readonly ofLargest: number } | { readonly relativeRms: number };

/** Tolerances by what is compared. */
export const tolerances: Readonly<Record<'output' | 'gradient' | 'trainingLoss' | 'weight', Tolerance>> = {
  output: { rtol: 1e-3, atol: 1e-4 },
  gradient: { ofLargest: 5e-3 },
  trainingLoss: { rtol: 5e-3, atol: 0 },
  // Torch's singular vectors in float32, of values that lie close together, are not much closer.
  weight: { rtol: 1e-4, atol: 2e-6 },
};

/** A gradient whose largest magnitude is below this is rounding noise. */
const GRADIENT_NOISE = 1e-7;

/** So is one below this times the largest of the case: a few roundings of the float32 numbers that they are made of. */
const ROUNDING = 2 ** -21;

/** How one tensor compares. */
export interface Difference {
  /** Name of the tensor. */
  readonly name: string;
  /** Largest absolute difference; infinite where a tensor is missing or has another shape. */
  readonly maxError: number;
  /** How far it may be off. */
  readonly tolerance: Tolerance;
  /** What is wrong, where they disagree. */
  readonly problem?: string;
}

/** Values as numbers, whatever they are stored as. */
export function numbers({ data, ...tensor }: Tensor): ArrayLike<number> {
  if (tensor.type === 'float16' || tensor.type === 'bfloat16') return readFloats(tensorProto('', { ...tensor, data }));
  return data instanceof BigInt64Array || data instanceof BigUint64Array
    ? Array.from(data as BigInt64Array, Number)
    : data;
}

/** Compares a tensor with the expected one; a missing one or another shape is a disagreement. */
export function compareTensors(
  name: string,
  actual: Tensor | undefined,
  expected: Tensor,
  tolerance: Tolerance,
): Difference {
  const [found, wanted] = [actual, expected].map((each) => each?.dims.join(', '));
  if (actual && found === wanted) return compareNumbers(name, numbers(actual), numbers(expected), tolerance);
  const problem = actual ? `${name} has shape [${found}], expected [${wanted}]` : `${name} is missing`;
  return { name, maxError: Infinity, tolerance, problem };
}

/**
 * As {@link compareTensors}; what should be noise must be nearly nothing, and need not be the same noise.
 *
 * @param scale the largest magnitude of all gradients of the case
 */
export function compareGradients(
  name: string,
  actual: Tensor | undefined,
  expected: Tensor,
  tolerance: Tolerance,
  scale = 0,
): Difference {
  const largest = largestMagnitude(expected);
  const noise = Math.max(GRADIENT_NOISE, ROUNDING * scale);
  if (largest >= noise || !actual) return compareTensors(name, actual, expected, tolerance);
  const found = largestMagnitude(actual);
  const ok = found < 10 * noise;
  return {
    name,
    maxError: Math.max(found, largest),
    tolerance: { atol: 10 * noise, rtol: 0 },
    ...(ok ? {} : { problem: `${name} should be zero, but reaches ${short(found)}` }),
  };
}

/** The largest absolute value; NaN where there is one. */
export function largestMagnitude(tensor: Tensor): number {
  return Array.from(numbers(tensor)).reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
}

/** Compares number by number. */
export function compareNumbers(
  name: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance,
): Difference {
  const errors = Array.from(expected, (value, i) => errorOf(actual[i] ?? NaN, value));
  const maxError = errors.reduce((a, b) => Math.max(a, b), 0);
  if ('relativeRms' in tolerance) {
    const rms = normOfErrors(errors, expected);
    const ok = rms <= tolerance.relativeRms;
    return {
      name,
      maxError,
      tolerance,
      ...(ok ? {} : { problem: `${name} is off by ${short(rms)} of its norm, allowed ${tolerance.relativeRms}` }),
    };
  }
  const largest = Array.from(expected).reduce((a, b) => Math.max(a, magnitude(b)), 0);
  const allowed = (value: number): number =>
    'ofLargest' in tolerance ? tolerance.ofLargest * largest : tolerance.atol + tolerance.rtol * magnitude(value);
  const excess = errors.map((error, i) => error - allowed(expected[i]!));
  const worst = excess.reduce((best, each, i) => (each > excess[best]! ? i : best), 0);
  if (errors.length === 0 || excess[worst]! <= 0) return { name, maxError, tolerance };
  const where = errors.length > 1 ? ` at ${worst}` : '';
  return {
    name,
    maxError,
    tolerance,
    problem: `${name}${where} is ${short(actual[worst] ?? NaN)}, expected ${short(expected[worst]!)} (error ${short(errors[worst]!)}, allowed ${short(allowed(expected[worst]!))})`,
  };
}

/** Norm of the difference over norm of the expected, of two tensors of one shape. */
export function relativeRms(actual: Tensor, expected: Tensor): number {
  const [found, wanted] = [numbers(actual), numbers(expected)];
  return normOfErrors(
    Array.from(wanted, (value, i) => errorOf(found[i] ?? NaN, value)),
    wanted,
  );
}

function normOfErrors(errors: readonly number[], expected: ArrayLike<number>): number {
  return norm(errors) / (norm(Array.from(expected, magnitude)) || 1);
}

/** A number in a few significant digits. */
export function short(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

/** Masked scores are infinite in both; a NaN on one side alone is an infinite error. */
function errorOf(actual: number, expected: number): number {
  if (Object.is(actual, expected) || actual === expected) return 0;
  const error = Math.abs(actual - expected);
  return Number.isNaN(error) ? Infinity : error;
}

/** Masked scores allow no error, and do not drown those of others. */
function magnitude(value: number): number {
  return Number.isFinite(value) ? Math.abs(value) : 0;
}

function norm(values: readonly number[]): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
