/** @file Training from the case's adapter follows torch's loss curve and ends at the same outputs. */

import { OnnxLoraError, type Runtime, type OptimizerOptions } from '@onnx-lora/sdk';
import {
  optimizerOf,
  type DrawMask,
  loraPlus,
  optimizerNames,
  type Trainer,
  type TrainerRequest,
} from '@onnx-lora/sdk/core';
import { sizeOf } from '@onnx-lora/sdk/tasks';
import type { CaseTraining, ConformanceCase } from '../case.ts';
import { type Check, judge, notApplicable } from '../check.ts';
import { compareNumbers, compareTensors } from '../compare.ts';
import { expectedOutputs, outputsOf, toleranceOf } from '../outputs.ts';
import { adapterOf, trainableAdapter, trainerFor } from '../trainable.ts';

/** The check. */
export const train: Check = {
  name: 'train',
  async run(subject, { runtime }) {
    const { train: settings } = subject;
    if (!settings) return notApplicable('the case was not trained');
    const optimizer = optimizerFor(settings, subject);
    const { trainer, placed } = await trainerFor(subject, runtime, optimizer, masksOf(subject), await isWhole(subject, settings)); // prettier-ignore
    try {
      const losses: number[] = [];
      for (let step = 0; step < settings.steps; step++)
        losses.push((await trainer.step(subject.feeds, subject.targets, settings.lr)).loss);
      losses.push(await finalLoss(subject, runtime, trainer));
      const curve = compareNumbers('loss', losses, settings.losses, toleranceOf(subject, 'trainingLoss'));
      const outputs = await outputsOf(subject.model, subject, adapterOf(placed, trainer.parameters!));
      const expected = expectedOutputs(subject, 'trained');
      return judge([
        curve,
        ...[...expected].map(([name, tensor]) =>
          compareTensors(`trained ${name}`, outputs[name], tensor, toleranceOf(subject, 'output')),
        ),
      ]);
    } finally {
      await trainer.release();
    }
  },
};

/** Whether the case was trained with what its tuner does around steps. PEFT leaves AdaLoRA's to its user: `budgets` tell that it was done. */
async function isWhole(subject: ConformanceCase, settings: CaseTraining): Promise<boolean> {
  const { config } = await trainableAdapter(subject);
  return config.peftType !== 'ADALORA' || settings['budgets'] !== undefined;
}

/** What of a case's training is no setting of its optimizer. */
const described: ReadonlySet<string> = new Set(['optimizer', 'lr', 'steps', 'losses', 'rule', 'note']);

/** The masks of dropout that the case brings: `dropout.<module>.<step>`. Cases are trained without noise. */
function masksOf({ masks }: ConformanceCase): DrawMask {
  return ({ module, keep, dims }, run) =>
    keep === 'noise' ? new Float32Array(sizeOf(dims)) : (masks.get(`${module}.${run}`)!.data as Uint8Array);
}

/** The loss after the last step, which is without dropout. */
async function finalLoss(subject: ConformanceCase, runtime: Runtime, trained: Trainer): Promise<number> {
  if (subject.masks.size === 0) return (await trained.lossAndGradients(subject.feeds, subject.targets)).loss;
  const { trainer } = await trainerFor(subject, runtime);
  try {
    await trainer.compile(subject.feeds, subject.targets);
    for (const { input, value } of trained.parameters!.all)
      trainer.parameters!.all.find((each) => each.input.name === input.name)!.value.set(value);
    trainer.parameters!.refresh();
    return (await trainer.lossAndGradients(subject.feeds, subject.targets)).loss;
  } finally {
    await trainer.release();
  }
}

/**
 * What moved the parameters of the case, with its settings.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for an optimizer that neither the SDK nor a given plugin has
 */
function optimizerFor(
  training: CaseTraining,
  { id, model: { registry } }: ConformanceCase,
): Pick<TrainerRequest, 'optimizer' | 'groups'> {
  const { optimizer: name, lr, betas, eps, weightDecay } = training;
  const adamw = { name: 'adamw', betas, eps, weightDecay } as OptimizerOptions;
  if (name === 'adamw') return { optimizer: adamw };
  if (name === 'loraplus') {
    const { ratio, embeddingLr } = training as unknown as { ratio: number; embeddingLr: number };
    return { optimizer: adamw, groups: loraPlus({ ratio, lr, embeddingLr }) };
  }
  const known = [...optimizerNames, ...registry.optimizers.map((each) => each.name)];
  const settings = Object.entries(training).filter(([key]) => !described.has(key));
  if (known.includes(name)) return { optimizer: optimizerOf({ name, ...Object.fromEntries(settings) }, registry) };
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The case "${id}" was trained with ${name}, and there are ${known.join(', ')}. Give the plugin that brings it.`,
  );
}
