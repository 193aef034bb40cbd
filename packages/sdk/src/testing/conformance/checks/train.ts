/** @file Training from the case's adapter follows torch's loss curve and ends at the same outputs. */

import { OnnxLoraError } from '../../../errors.ts';
import type { CaseTraining, ConformanceCase } from '../case.ts';
import { type Check, judge, notApplicable } from '../check.ts';
import { compareNumbers, compareTensors } from '../compare.ts';
import { expectedOutputs, outputsOf, toleranceOf } from '../outputs.ts';
import { adapterOf, trainerFor } from '../trainable.ts';
import type { Runtime } from '../../../runtime/session.ts';
import type { DrawMask } from '../../../train/dropout.ts';
import type { Trainer } from '../../../train/trainer.ts';

/** The check. */
export const train: Check = {
  name: 'train',
  async run(subject, { runtime }) {
    const { train: settings } = subject;
    if (!settings) return notApplicable('the case was not trained');
    const { betas, eps, weightDecay } = adamW(settings, subject);
    const optimizer = { name: 'adamw', betas, eps, weightDecay } as const;
    const { trainer, placed } = await trainerFor(subject, runtime, optimizer, masksOf(subject), true);
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

/** The masks of dropout that the case brings: `dropout.<module>.<step>`. */
function masksOf({ masks }: ConformanceCase): DrawMask | undefined {
  if (masks.size === 0) return undefined;
  return ({ module }, run) => masks.get(`${module}.${run}`)!.data as Uint8Array;
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

function adamW(settings: CaseTraining, { id }: ConformanceCase): CaseTraining {
  if (settings.optimizer === 'adamw') return settings;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The case "${id}" was trained with ${settings.optimizer}; only adamw can be repeated.`,
  );
}
