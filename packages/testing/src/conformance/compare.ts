/** @file Compares tensors within the tolerances of float32. */

import type { Tensor } from '@onnx-lora/sdk';
import { readFloats, tensorProto } from '@onnx-lora/sdk/plugin';

/** A tolerance per element, or relative to the tensor's largest magnitude, or of the norm of the difference. */
export type Tolerance =
  { readonly rtol: number; readonly atol: number } | { readonly ofLargest: number } | { readonly relativeRms: number };

/** Tolerances by kind of value. */
export const tolerances: Readonly<Record<'output' | 'gradient' | 'trainingLoss' | 'weight', Tolerance>> = {
  output: { rtol: 1e-3, atol: 1e-4 },
  gradient: { ofLargest: 5e-3 },
  trainingLoss: { rtol: 5e-3, atol: 0 },
  // torch's singular vectors in float32 are not more exact for close singular values.
  weight: { rtol: 1e-4, atol: 2e-6 },
};

/** Gradients whose largest magnitude is below this are rounding noise. */
const GRADIENT_NOISE = 1e-7;

/** So are those below this times the case's largest: a few roundings in float32. */
const ROUNDING = 2 ** -21;

/** Comparison of a tensor. */
export interface Difference {
  /** Name of the tensor. */
  readonly name: string;
  /** Largest absolute difference; infinite for a missing tensor or another shape. */
  readonly maxError: number;
  /** The allowed difference. */
  readonly tolerance: Tolerance;
  /** The problem, if they disagree. */
  readonly problem?: string;
}

/** Values as numbers, from any type. */
export function numbers({ data, ...tensor }: Tensor): ArrayLike<number> {
  if (tensor.type === 'float16' || tensor.type === 'bfloat16') return readFloats(tensorProto('', { ...tensor, data }));
  return data instanceof BigInt64Array || data instanceof BigUint64Array
    ? Array.from(data as BigInt64Array, Number)
    : data;
}

/** Compares tensors; a missing tensor or another shape is a problem. */
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

/** As {@link compareTensors}, but noise may be different noise; `scale` is the case's largest gradient. */
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

/** The largest absolute value; NaN if there is one. */
export function largestMagnitude(tensor: Tensor): number {
  return Array.from(numbers(tensor)).reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
}

/** Compares numbers. */
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

/** Norm of the difference / norm of the expected values, of tensors of the same shape. */
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

/** Formats a number with a few significant digits. */
export function short(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

/** Equal infinities, such as masked scores, have no error; NaN on one side is an infinite error. */
function errorOf(actual: number, expected: number): number {
  if (Object.is(actual, expected) || actual === expected) return 0;
  const error = Math.abs(actual - expected);
  return Number.isNaN(error) ? Infinity : error;
}

/** Infinities, such as masked scores, allow no error and do not hide those of others. */
function magnitude(value: number): number {
  return Number.isFinite(value) ? Math.abs(value) : 0;
}

function norm(values: readonly number[]): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
