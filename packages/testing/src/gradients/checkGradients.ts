/** @file Checks a model's training gradients by finite differences of the loss. */

import { OnnxLoraError, type LoraOptions, type Model, type Feeds, float32, type Tensor } from '@onnx-lora/sdk';
import type { LossFragment } from '@onnx-lora/sdk/tasks';
import { planAdapter } from '@onnx-lora/sdk/core';
import { Random } from '@onnx-lora/sdk/data';
import { released } from '../scratch.ts';
import { compareGradients, type Difference, largestMagnitude } from '../conformance/compare.ts';
import { finerSteps, modelSteps, slopes } from './finiteDifferences.ts';
import { randomTrainer } from '../random.ts';
import { wideLoss } from './wideLoss.ts';

/** Input of {@link checkGradients}. */
export interface CheckGradientsOptions {
  /** The adapter; by default the family's recommendation, of rank 8. */
  readonly lora?: LoraOptions;
  /** The loss, such as a prepared task's `data.loss`. */
  readonly loss: LossFragment;
  /** The feeds of a batch, as `collate` makes them. */
  readonly inputs: Feeds;
  /** Targets of the loss, as `collate` makes them. */
  readonly targets: Feeds;
  /** Elements to check per tensor, the largest among them; 8 by default. */
  readonly elements?: number;
  /** Seed of the adapter's values and of the elements; 1 by default. */
  readonly seed?: number;
}

/** Tolerances, relative to the tensor's largest gradient, for differences in double and in single precision. */
const tolerances = { float64: { ofLargest: 1e-3 }, float32: { ofLargest: 5e-3 } } as const;

/**
 * Checks the gradient of each trained tensor on one batch: the SDK's, with all rewrites of training, against central
 * differences of the loss, in double precision where ONNX Runtime has the kernels. The adapter has random values, since
 * B = 0 would make gradients zero.
 *
 * DoRA's norms are constants in the differences, as they are in its gradients. A loss that stops gradients on purpose and
 * a graph that rounds rightly differ. Tensors of tuners with `ownGradient` are not checked, nor the output layer inside a
 * MultiheadAttention, of whose two changes PEFT differentiates one.
 * @example
 * const data = await task.prepare(model);
 * const batch = await data.collate([await data.train.get(0), await data.train.get(1)]);
 * const found = await checkGradients(model, { loss: data.loss, ...batch });
 * assert.deepEqual(found.filter(({ problem }) => problem), []);
 * @returns a comparison per tensor, by the name of its graph input
 * @throws OnnxLoraError `TARGET_NOT_FOUND`, `NO_GRADIENT`; `LOSS_NOT_FINITE` if the loss of the batch is not finite;
 *   `MODEL_UNSUPPORTED` for models in 16-bit floats
 */
export async function checkGradients(
  model: Model,
  { lora, loss, inputs, targets, elements = 8, seed = 1 }: CheckGradientsOptions,
): Promise<Difference[]> {
  const { plan, config } = planAdapter(model, lora);
  const random = new Random(seed);
  const trainer = randomTrainer(model, plan, loss, seed);
  return released(trainer, async () => {
    const found = await trainer.lossAndGradients(inputs, targets);
    if (!Number.isFinite(found.loss)) {
      throw new OnnxLoraError(
        'LOSS_NOT_FINITE',
        `The loss of the batch is ${found.loss}, so it has no finite differences. Check the batch and the loss.`,
      );
    }
    const scale = largest([...found.gradients.values()].map((each) => float32(each, [each.length])));
    const request = {
      base: model.onnx.model,
      name: model.name,
      plan,
      loss,
      inputs,
      targets,
      holdsStopped: config.useDora,
    };
    const { session, precision, lossAt } = await wideLoss(request, trainer.parameters!);
    // In singles, the rounding of the loss alone makes differences of this size.
    const noise = precision === 'float32' ? Math.abs(found.loss) / (8 * modelSteps.float32) : 0;
    return released(session, async () => {
      const differences: Difference[] = [];
      for (const { input, value } of trainer.parameters!.all) {
        if (input.tensor.ownGradient || isMergedTwice(input.tensor.savedAs)) continue;
        const gradient = found.gradients.get(input.name) ?? new Float32Array(value.length);
        const picked = pick(gradient, elements, random);
        const at = lossAt.values.get(input.name)!;
        const actual = float32(Float32Array.from(picked, (i) => gradient[i]!), [picked.length]); // prettier-ignore
        const compared = (data: Float64Array): Difference =>
          compareGradients(input.name, actual, { type: 'float64', dims: [picked.length], data }, tolerances[precision], Math.max(scale, noise)); // prettier-ignore
        const slopesAt = (step: number): Promise<Float64Array> => slopes(at, picked, step, () => lossAt.run());
        let expected = await slopesAt(modelSteps[precision]);
        let difference = compared(expected);
        for (const step of finerSteps[precision]) {
          if (difference.problem === undefined) break;
          const finer = await slopesAt(step);
          const errorOf = (each: number, k: number): number => Math.abs(each - gradient[picked[k]!]!);
          expected = expected.map((each, k) => (errorOf(finer[k]!, k) < errorOf(each, k) ? finer[k]! : each));
          difference = compared(expected);
        }
        differences.push(difference);
      }
      return differences;
    });
  });
}

const isMergedTwice = (savedAs: string): boolean => savedAs.includes('.base_layer.out_proj.lora_');

/** Indices of the element with the largest gradient and of random others. */
function pick(gradient: Float32Array, count: number, random: Random): number[] {
  const top = gradient.reduce((at, each, i) => (Math.abs(each) > Math.abs(gradient[at]!) ? i : at), 0);
  const others = random.permutation(gradient.length).filter((i) => i !== top);
  return [top, ...others].slice(0, Math.min(count, gradient.length)).sort((a, b) => a - b);
}

function largest(tensors: readonly Tensor[]): number {
  return tensors.reduce((most, each) => Math.max(most, largestMagnitude(each)), 0);
}
