/** @file Checks training: the loss curve and the final outputs against torch. */

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
import { released } from '../../scratch.ts';
import type { CaseTraining, ConformanceCase } from '../case.ts';
import { type Check, judge, notApplicable } from '../check.ts';
import { compareNumbers, compareTensors } from '../compare.ts';
import { expectedOutputs, outputsOf, toleranceOf } from '../outputs.ts';
import { adapterOf, trainableAdapter, trainerFor } from '../trainable.ts';

export const train: Check = {
  name: 'train',
  async run(subject, { runtime }) {
    const { train: settings } = subject;
    if (!settings) return notApplicable('the case was not trained');
    const optimizer = optimizerFor(settings, subject);
    const { trainer, placed } = await trainerFor(subject, runtime, optimizer, masksOf(subject), await isWhole(subject, settings)); // prettier-ignore
    return released(trainer, async () => {
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
    });
  },
};

/** Whether the tuner's hooks ran in training. PEFT leaves AdaLoRA's to the user; `budgets` shows that they ran. */
async function isWhole(subject: ConformanceCase, settings: CaseTraining): Promise<boolean> {
  const { config } = await trainableAdapter(subject);
  return config.peftType !== 'ADALORA' || settings['budgets'] !== undefined;
}

const described: ReadonlySet<string> = new Set(['optimizer', 'lr', 'steps', 'losses', 'rule', 'note']);

/**
 * The case's dropout masks: `dropout.<module>.<step>`. Cases are trained without noise, and, where they have no masks,
 * without LoRA's dropout.
 */
function masksOf({ id, masks }: ConformanceCase): DrawMask {
  return ({ module, keep, dims }, run) => {
    if (keep === 'noise') return new Float32Array(sizeOf(dims));
    const mask = masks.get(`${module}.${run}`);
    if (mask) return mask.data as Uint8Array;
    const has = [...masks.keys()].slice(0, 3).map((name) => `"dropout.${name}"`).join(', '); // prettier-ignore
    throw new OnnxLoraError('FILE_INVALID', `The case "${id}" has no dropout mask "dropout.${module}.${run}" among its inputs, which have ${has}. Save a mask for each adapted module and step.`); // prettier-ignore
  };
}

async function finalLoss(subject: ConformanceCase, runtime: Runtime, trained: Trainer): Promise<number> {
  if (subject.masks.size === 0) return (await trained.lossAndGradients(subject.feeds, subject.targets)).loss;
  const { trainer } = await trainerFor(subject, runtime);
  return released(trainer, async () => {
    await trainer.compile(subject.feeds, subject.targets);
    for (const { input, value } of trained.parameters!.all)
      trainer.parameters!.all.find((each) => each.input.name === input.name)!.value.set(value);
    trainer.parameters!.refresh();
    return (await trainer.lossAndGradients(subject.feeds, subject.targets)).loss;
  });
}

/** Makes the case's optimizer with its settings. @throws OnnxLoraError `MODEL_UNSUPPORTED` for an unknown one */
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
