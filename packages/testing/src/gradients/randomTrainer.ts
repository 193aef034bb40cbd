/** @file A trainer for an adapter with random values, since B = 0 would make gradients zero. */

import { type Model, OrtRuntime } from '@onnx-lora/sdk';
import type { LossFragment } from '@onnx-lora/sdk/tasks';
import { type AdapterPlan, type DrawMask, MaskDrawer, ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import { Random } from '@onnx-lora/sdk/data';
import { withoutZeros } from '../randomAdapter.ts';

/** The same masks for each step, for comparable losses. */
export const drawOnce: DrawMask = (mask) => new MaskDrawer(1).next([mask])[0]![1].data as Float32Array;

/** Runs on the CPU with one thread, so that results are reproducible. Release it. */
export function randomTrainer(model: Model, plan: AdapterPlan, loss: LossFragment, seed = 1): Trainer {
  const random = new Random(seed);
  return new Trainer({
    base: model.onnx.model,
    plan,
    loss,
    runtime: new OrtRuntime(),
    session: { threads: 1, provider: 'cpu' },
    drawMask: drawOnce,
    parameters: (inputs) => withoutZeros(ParameterSet.initial(inputs, random), random),
    name: model.name,
  });
}
