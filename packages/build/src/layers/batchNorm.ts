/** @file Batch norm as it is after training: Ioffe and Szegedy 2015. */

import { float } from '@onnx-lora/sdk/plugin';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from './module.ts';

/** Norm of each channel of `[batch, channels, …]` by what training saw. */
export function batchNorm(m: Module, name: string, x: Value, epsilon = 1e-5): Value {
  const norm = m.at(name);
  const names = ['weight', 'bias', 'running_mean', 'running_var'];
  const parameters = names.map((each) => norm.parameter(each, [Number(x.shape![1])]));
  return norm.g.emit('BatchNormalization', [x, ...parameters], { epsilon: float(epsilon) });
}
