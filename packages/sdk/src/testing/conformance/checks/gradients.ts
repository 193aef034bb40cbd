/** @file The gradient of every trained tensor is the one that torch computes. */

import { float32, type Tensor } from '../../../runtime/tensor.ts';
import { ParameterSet } from '../../../train/parameters.ts';
import { released } from '../../lent.ts';
import { type Check, type CheckContext, judge, notApplicable } from '../check.ts';
import type { ConformanceCase } from '../case.ts';
import { compareGradients, compareTensors, largestMagnitude, short } from '../compare.ts';
import { toleranceOf } from '../outputs.ts';
import { trainerFor } from '../trainable.ts';

const PREFIX = 'lora.grad.';

/** The check. */
export const gradients: Check = {
  name: 'gradients',
  async run(subject, context) {
    const expected = [...subject.expected]
      .filter(([name]) => name.startsWith(PREFIX))
      .map(([name, tensor]) => [name.slice(PREFIX.length), tensor] as const);
    if (expected.length === 0) return notApplicable('the case expects no lora.grad.<tensor>');
    const scale = Math.max(...expected.map(([, tensor]) => largestMagnitude(tensor)));
    const { loss, actual } = await gradientsOf(subject, context);
    const surplus = [...actual].filter(
      ([name, tensor]) => !subject.expected.has(PREFIX + name) && largestMagnitude(tensor) !== 0,
    );
    const expectedLoss = subject.expected.get('lora.loss');
    return judge(
      [
        ...(expectedLoss
          ? [compareTensors('loss of the training graph', loss, expectedLoss, toleranceOf(subject, 'output'))]
          : []),
        ...expected.map(([name, tensor]) =>
          compareGradients(name, actual.get(name), tensor, toleranceOf(subject, 'gradient'), scale),
        ),
      ],
      surplus.map(
        ([name, tensor]) => `${name} should get no gradient, but gets one up to ${short(largestMagnitude(tensor))}`,
      ),
    );
  },
};

/** The loss as the training graph computes it, and gradients under PEFT's names and in PEFT's layout. */
async function gradientsOf(
  subject: ConformanceCase,
  { runtime }: CheckContext,
): Promise<{ loss: Tensor; actual: Map<string, Tensor> }> {
  const { trainer } = await trainerFor(subject, runtime);
  return released(trainer, async () => {
    const { loss, gradients: found } = await trainer.lossAndGradients(subject.feeds, subject.targets);
    // A parameter's own way back to PEFT's layout is its gradient's, too.
    const asParameters = trainer.parameters!.all.flatMap((parameter) => {
      const value = found.get(parameter.input.name);
      return value ? [{ ...parameter, value }] : [];
    });
    return { loss: float32([loss], []), actual: new ParameterSet(asParameters).tensors() };
  });
}
