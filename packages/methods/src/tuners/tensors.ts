/** @file Tensors of tuners, by how they begin. Idle, all are zeros but those that say otherwise. */

import type { TunedTensor } from '@onnx-lora/sdk/plugin';

/** How many numbers a shape has. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** One that is the same number everywhere, also when idle unless that is another. */
export function filled(dims: readonly number[], value: number, idle: number = value): TunedTensor {
  const numbers = (each: number): Float32Array => new Float32Array(sizeOf(dims)).fill(each);
  return { dims, first: () => numbers(value), idle: () => numbers(idle) };
}

/** One of zeros. */
export function zeros(dims: readonly number[]): TunedTensor {
  return filled(dims, 0);
}

/** One of normally distributed numbers. */
export function normal(dims: readonly number[], deviation: number): TunedTensor {
  return { ...zeros(dims), first: (random) => new Float32Array(sizeOf(dims)).map(() => deviation * random.normal()) };
}

/** One of numbers between −bound and bound. */
export function uniform(dims: readonly number[], bound: number): TunedTensor {
  return { ...zeros(dims), first: (random) => new Float32Array(sizeOf(dims)).map(() => random.uniform(-bound, bound)) };
}

/**
 * One that begins as torch's layers do: `kaiming_uniform_` with a = √5, uniform in ±1/√inputs.
 *
 * @param inputs how many numbers each output reads: of a matrix `[out, in]` its columns
 */
export function kaiming(dims: readonly number[], inputs: number = sizeOf(dims.slice(1))): TunedTensor {
  return uniform(dims, 1 / Math.sqrt(inputs));
}
