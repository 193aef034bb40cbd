/** @file Gradients of the loss with respect to whole weights, averaged over batches. */

import { OnnxLoraError } from '../errors.ts';
import type { TrainedParameter } from '../lora/methods/trainedParameter.ts';
import { WholeParameter } from '../lora/methods/saved.ts';
import { Random } from '../runtime/random.ts';
import type { Feeds } from '../runtime/tensor.ts';
import { GradientStep } from './step/gradientStep.ts';
import { ParameterSet } from './parameters.ts';
import type { GradientStepRequest } from './step/stepRequest.ts';

/** Request of {@link weightGradients}. */
export interface GradientRequest extends Pick<
  GradientStepRequest,
  'base' | 'loss' | 'lossWeight' | 'runtime' | 'session' | 'name'
> {
  /** Inputs and targets of batch `index`. */
  readonly batch: (index: number) => Promise<{ readonly inputs: Feeds; readonly targets: Feeds }>;
  readonly batches: number;
}

/**
 * Gradients of these parameters at the base's values, in the graph's layout, without side effects.
 * @throws OnnxLoraError `NO_GRADIENT` for an operator without a gradient, or a parameter that does not affect the loss;
 *   `LOSS_NOT_FINITE`
 */
export async function weightGradients(
  parameters: readonly TrainedParameter[],
  { batch, batches, ...request }: GradientRequest,
): Promise<ReadonlyMap<TrainedParameter, Float32Array>> {
  const step = new GradientStep({
    ...request,
    plan: parameters.map((each) => new WholeParameter(each)),
    parameters: (inputs) => ParameterSet.initial(inputs, new Random(0)),
  });
  const sums = new Map<TrainedParameter, Float32Array>();
  try {
    for (let i = 0; i < batches; i++) {
      const { inputs, targets } = await batch(i);
      const found = await step.lossAndGradients(inputs, targets);
      if (!Number.isFinite(found.loss)) {
        throw new OnnxLoraError(
          'LOSS_NOT_FINITE',
          found.nothing ??
            `The loss of the base is ${found.loss} on batch ${i + 1}, so there is no gradient to start from. Check the data for values that are not numbers, or take another initialisation.`,
        );
      }
      for (const { input } of step.parameters!.all) {
        const gradient = found.gradients.get(input.name);
        if (gradient) addTo(sums, (input.tuning as WholeParameter).parameter, gradient, 1 / batches);
      }
    }
  } finally {
    await step.release();
  }
  const missing = parameters.find((each) => !sums.has(each));
  if (missing) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `The loss does not depend on "${missing.name}", so there is no gradient to start from. Leave the module out (excludeModules), or take another initialisation.`,
    );
  }
  return sums;
}

function addTo(
  sums: Map<TrainedParameter, Float32Array>,
  parameter: TrainedParameter,
  gradient: Float32Array,
  share: number,
): void {
  const sum = sums.get(parameter) ?? new Float32Array(gradient.length);
  for (let i = 0; i < sum.length; i++) sum[i]! += share * gradient[i]!;
  sums.set(parameter, sum);
}
