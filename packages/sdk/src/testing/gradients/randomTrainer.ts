/** @file A trainer whose adapter has random values, so that no gradient is zero as B is. */

import type { AdapterPlan } from '../../lora/tunings/moduleTuning.ts';
import type { Model } from '../../model/model.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import { Random } from '../../runtime/random.ts';
import type { LossFragment } from '../../train/graph/addLoss.ts';
import { type DrawMask, MaskDrawer } from '../../train/dropout.ts';
import { ParameterSet } from '../../train/parameters.ts';
import { Trainer } from '../../train/trainer.ts';
import { withoutZeros } from '../randomAdapter.ts';

/** The same for each step, for losses that are compared. */
export const drawOnce: DrawMask = (mask) => new MaskDrawer(1).next([mask])[0]![1].data as Float32Array;

/** On the CPU and with one thread, so that results repeat. To be released. */
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
