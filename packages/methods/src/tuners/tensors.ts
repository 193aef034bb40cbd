/** @file Tensors of tuners by their init. Their idle values are zeros unless stated otherwise. */

import type { TensorSpec } from '@onnx-lora/sdk/plugin';

/** Number of elements. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** A constant, also when idle unless `idle` differs. */
export function filled(dims: readonly number[], value: number, idle: number = value): TensorSpec {
  const numbers = (each: number): Float32Array => new Float32Array(sizeOf(dims)).fill(each);
  return { dims, init: () => numbers(value), identity: () => numbers(idle) };
}

/** Zeros. */
export function zeros(dims: readonly number[]): TensorSpec {
  return filled(dims, 0);
}

/** Normally distributed. */
export function normal(dims: readonly number[], deviation: number): TensorSpec {
  return { ...zeros(dims), init: (random) => new Float32Array(sizeOf(dims)).map(() => deviation * random.normal()) };
}

/** Uniform in ±bound. */
export function uniform(dims: readonly number[], bound: number): TensorSpec {
  return { ...zeros(dims), init: (random) => new Float32Array(sizeOf(dims)).map(() => random.uniform(-bound, bound)) };
}

/** torch's default init, `kaiming_uniform_` with a = √5: uniform in ±1/√inputs, by default a matrix's columns. */
export function kaiming(dims: readonly number[], inputs: number = sizeOf(dims.slice(1))): TensorSpec {
  return uniform(dims, 1 / Math.sqrt(inputs));
}
