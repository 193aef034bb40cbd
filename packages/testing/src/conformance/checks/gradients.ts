/** @file Checks the gradient of every trained tensor against torch. */

import { float32, type Tensor } from '@onnx-lora/sdk';
import { ParameterSet, gradientCosines, parseTensorName, type MeasuredPrecision } from '@onnx-lora/sdk/core';
import { released } from '../../scratch.ts';
import { type Check, type CheckContext, failed, judge, notApplicable, type Outcome, passed } from '../check.ts';
import { type ConformanceCase, mayBeAbsent } from '../case.ts';
import { compareGradients, compareTensors, largestMagnitude, short } from '../compare.ts';
import { caseAdapter, toleranceOf } from '../outputs.ts';
import { trainerFor } from '../trainable.ts';

const PREFIX = 'lora.grad.';

export const gradients: Check = {
  name: 'gradients',
  async run(subject, context) {
    const expected = [...subject.expected]
      .filter(([name]) => name.startsWith(PREFIX))
      .map(([name, tensor]) => [name.slice(PREFIX.length), tensor] as const);
    if (expected.length === 0) return notApplicable('the case expects no lora.grad.<tensor>');
    const scale = Math.max(...expected.map(([, tensor]) => largestMagnitude(tensor)));
    const { loss, actual, copies, measured } = await gradientsOf(subject, context);
    if (measured?.products.length === 0) return notApplicable('the model has no products that are large enough');
    if (context.precision) return alike(expected, actual, measured, Number(loss.data[0]), subject);
    // torch lists the gradient of a tensor that layers share under the first layer's name, unless it is asked for all.
    const surplus = [...actual].filter(
      ([name, tensor]) => !copies.get(name)!.some((each) => subject.expected.has(PREFIX + each)) && largestMagnitude(tensor) !== 0, // prettier-ignore
    );
    const { unused } = await subject.model.place(await caseAdapter(subject), { toTrain: true });
    const isAbsent = (name: string): boolean =>
      unused.includes(name) && mayBeAbsent(subject, parseTensorName(name).module);
    const expectedLoss = subject.expected.get('lora.loss');
    return judge(
      [
        ...(expectedLoss
          ? [compareTensors('loss of the training graph', loss, expectedLoss, toleranceOf(subject, 'output'))]
          : []),
        ...expected
          .filter(([name]) => !isAbsent(name))
          .map(([name, tensor]) =>
            compareGradients(name, actual.get(name), tensor, toleranceOf(subject, 'gradient'), scale),
          ),
      ],
      surplus.map(
        ([name, tensor]) => `${name} should get no gradient, but gets one up to ${short(largestMagnitude(tensor))}`,
      ),
    );
  },
};

/** The loss of the training graph, and gradients with PEFT's names and layout. */
async function gradientsOf(
  subject: ConformanceCase,
  { runtime, precision }: CheckContext,
): Promise<{
  loss: Tensor;
  actual: Map<string, Tensor>;
  /** All names of the tensor, by each of them. */
  copies: Map<string, readonly string[]>;
  measured?: MeasuredPrecision;
}> {
  const { trainer, measured } = await trainerFor(subject, runtime, undefined, undefined, false, precision);
  return released(trainer, async () => {
    const { loss, gradients: found } = await trainer.lossAndGradients(subject.feeds, subject.targets);
    // The conversion of a parameter to PEFT's layout also applies to its gradient.
    const asParameters = trainer.parameters!.all.flatMap((parameter) => {
      const value = found.get(parameter.input.name);
      return value ? [{ ...parameter, value }] : [];
    });
    const byParameter = asParameters.map((each) => new ParameterSet([each]).gradients());
    return {
      loss: float32([loss], []),
      actual: new Map(byParameter.flatMap((each) => [...each])),
      copies: new Map(byParameter.flatMap((each) => [...each.keys()].map((name) => [name, [...each.keys()]]))),
      ...(measured && { measured }),
    };
  });
}

const LEAST_COSINE = 0.995;
const MOST_OF_LOSS = 0.02;

/** Below float32, compares directions of gradients and the approximate loss. */
function alike(
  expected: readonly (readonly [name: string, tensor: Tensor])[],
  actual: ReadonlyMap<string, Tensor>,
  measured: MeasuredPrecision | undefined,
  loss: number,
  subject: ConformanceCase,
): Outcome {
  const cosines = [...gradientCosines(new Map(expected), actual)];
  const wanted = Number(subject.expected.get('lora.loss')?.data[0] ?? loss);
  const off = Math.abs(loss / wanted - 1);
  const problems = cosines
    .filter(([, each]) => !(each >= LEAST_COSINE))
    .sort(([, a], [, b]) => a - b)
    .map(
      ([name, each]) =>
        `the gradient of ${name} has cosine ${each.toFixed(4)}, which should be ${LEAST_COSINE} at least`,
    );
  if (!(off <= MOST_OF_LOSS)) problems.push(`the loss is ${loss}, and should be ${wanted}`);
  if (problems.length > 0) return failed(problems);
  const least = Math.min(...cosines.map(([, each]) => each));
  const found = `least cosine ${least.toFixed(4)}, loss off by ${(100 * off).toFixed(2)}%`;
  if (!measured) return passed(found);
  const { products, precision } = measured;
  return passed(`${found}, ${products.length - (precision.inFloat32?.length ?? 0)} of ${products.length} products`);
}
