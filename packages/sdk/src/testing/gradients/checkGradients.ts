/** @file Holds the gradients that a model is trained with against finite differences of its loss. */

import { OnnxLoraError } from '../../errors.ts';
import { atOnce } from '../../graph/turns.ts';
import type { LoraOptions } from '../../model/planning/loraOptions.ts';
import type { Model } from '../../model/model.ts';
import { planAdapter } from '../../model/planning/planAdapter.ts';
import { opsetOf } from '../../ops/inferGraph.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, type Tensor } from '../../runtime/tensor.ts';
import { adaptedGraph } from '../../train/graph/adaptedGraph.ts';
import { addLoss, type LossFragment } from '../../train/graph/addLoss.ts';
import type { Parameter, ParameterSet } from '../../train/parameters.ts';
import { compareGradients, type Difference, largestMagnitude } from '../conformance/compare.ts';
import { port } from '../graphs.ts';
import { floatTensor, wideSession, type WideSession } from '../reference/wideSession.ts';
import { finerSteps, modelSteps, slopes } from './finiteDifferences.ts';
import { MaskDrawer } from '../../train/dropout.ts';
import { drawOnce, randomTrainer } from './randomTrainer.ts';

/** What {@link checkGradients} differentiates. */
export interface CheckGradientsOptions {
  /** The adapter; by default what the model's family recommends, of rank 8. */
  readonly lora?: LoraOptions;
  /** The loss, such as that of a prepared task: `data.loss`. */
  readonly loss: LossFragment;
  /** One batch, as the task's `collate` gives it. */
  readonly inputs: Feeds;
  /** What the loss compares the outputs with, as `collate` gives it. */
  readonly targets: Feeds;
  /** How many elements of each tensor are checked, the largest among them; 8 by default. */
  readonly elements?: number;
  /** Seeds the adapter's values and the choice of elements; 1 by default. */
  readonly seed?: number;
}

/** How far a gradient may be off, of the tensor's largest: single precision in the gradient, or in the differences as well. */
const tolerances = { float64: { ofLargest: 1e-3 }, float32: { ofLargest: 5e-3 } } as const;

/**
 * Checks the gradient of each tensor that would be trained, on one batch: that which the SDK computes, with all that
 * training does to a graph, against central differences of the loss, in double precision where ONNX Runtime has the kernels.
 * The adapter has random values, so that no gradient is zero as B is.
 *
 * A loss that stops gradients on purpose, and a graph that rounds, differ from their differences rightly. Tensors of a tuner that
 * says so (`ownGradient`) are left out.
 *
 * @example
 * const data = await task.prepare(model);
 * const batch = await data.collate([await data.train.get(0), await data.train.get(1)]);
 * const found = await checkGradients(model, { loss: data.loss, ...batch });
 * assert.deepEqual(found.filter(({ problem }) => problem), []);
 *
 * @returns an entry per tensor, by the name of its graph input
 * @throws OnnxLoraError `TARGET_NOT_FOUND`, `NO_GRADIENT`; `CONFIG_INVALID` for DoRA; `LOSS_NOT_FINITE` where the loss of the batch is no number;
 *   `MODEL_UNSUPPORTED` for models in 16-bit floats
 */
export async function checkGradients(
  model: Model,
  { lora, loss, inputs, targets, elements = 8, seed = 1 }: CheckGradientsOptions,
): Promise<Difference[]> {
  const { plan, config } = planAdapter(model, lora);
  if (config.useDora) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'DoRA takes the norm of the weight as a constant, as in PEFT, so its gradients are not the differences of the loss. Leave useDora out.',
    );
  }
  const random = new Random(seed);
  const trainer = randomTrainer(model, plan, loss, seed);
  try {
    const found = await trainer.lossAndGradients(inputs, targets);
    if (!Number.isFinite(found.loss)) {
      throw new OnnxLoraError(
        'LOSS_NOT_FINITE',
        `The loss of the batch is ${found.loss}, of which there are no differences. Check the batch and the loss.`,
      );
    }
    const scale = largest([...found.gradients.values()].map((each) => float32(each, [each.length])));
    const { session, precision, lossAt } = await forward(model, { plan, loss, inputs, targets }, trainer.parameters!);
    try {
      const differences: Difference[] = [];
      for (const { input, value } of trainer.parameters!.all) {
        if (input.tensor.ownGradient) continue;
        const gradient = found.gradients.get(input.name) ?? new Float32Array(value.length);
        const picked = pick(gradient, elements, random);
        const at = lossAt.values.get(input.name)!;
        const actual = float32(Float32Array.from(picked, (i) => gradient[i]!), [picked.length]); // prettier-ignore
        const compared = (data: Float64Array): Difference =>
          compareGradients(input.name, actual, { type: 'float64', dims: [picked.length], data }, tolerances[precision], scale); // prettier-ignore
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
    } finally {
      await session.release();
    }
  } finally {
    await trainer.release();
  }
}

/** The loss as a function of the trained values, without any gradient in the graph. */
async function forward(
  model: Model,
  request: Pick<CheckGradientsOptions, 'loss' | 'inputs' | 'targets'> & Pick<ReturnType<typeof planAdapter>, 'plan'>,
  parameters: ParameterSet,
): Promise<
  WideSession & {
    readonly lossAt: {
      /** Trained values by graph input, to be changed between runs. */
      readonly values: ReadonlyMap<string, Float32Array | Float64Array>;
      run(): Promise<number>;
    };
  }
> {
  const base = model.onnx.model;
  const { inputs, targets } = request;
  const adapted = atOnce(adaptedGraph({ base, ...request }));
  const added = addLoss({ ...request, opset: opsetOf(base) }, adapted);
  const { valueInfo: _, ...graph } = adapted.graph;
  const targetPorts = [...added.targets].map(([, value]) => port(value));
  const whole = {
    ...base,
    graph: {
      ...graph,
      node: [...(graph.node ?? []), ...added.g.nodes],
      initializer: [...(graph.initializer ?? []), ...added.g.initializers],
      input: [...(graph.input ?? []), ...targetPorts],
      output: [{ name: added.value.name }],
    },
  };
  const batch: Feeds = {
    ...inputs,
    ...Object.fromEntries([...added.targets].map(([name, value]) => [value.name, targets[name]!])),
  };
  const shapes = { ...batch, ...Object.fromEntries(parameters.fed().map(({ input, fed }) => [input.name, fed])) };
  const wrt = new Set(parameters.fed().map(({ input }) => input.name));
  const wide = await wideSession(whole, wrt, shapes, model.name);
  const values = new Map(
    parameters.all.map(({ input, value, dims }) => [input.name, floatTensor(value.slice(), dims, wide.precision).data]),
  );
  const feedOf = ({ input, dims }: Parameter): readonly [string, Tensor] => {
    const { scale, base: origin } = input.tensor;
    const own = values.get(input.name)!.map((each, i) => scale * each - (origin?.[i] ?? 0));
    return [input.name, floatTensor(own, dims, wide.precision)];
  };
  const still = parameters
    .fed()
    .filter(({ input }) => !values.has(input.name))
    .map(
      ({ input, value, dims, integers }) => [input.name, integers ?? floatTensor(value, dims, wide.precision)] as const,
    );
  const drawn = new MaskDrawer(0, drawOnce).next(adapted.masks);
  const run = async (): Promise<number> => {
    const fed = Object.fromEntries([...parameters.all.map(feedOf), ...still, ...drawn]);
    const outputs = await wide.session.run({ ...batch, ...fed });
    return Number(outputs[added.value.name]!.data[0]);
  };
  return { ...wide, lossAt: { values, run } };
}

/** Numbers of some elements: that of the largest gradient, and others at random. */
function pick(gradient: Float32Array, count: number, random: Random): number[] {
  const top = gradient.reduce((at, each, i) => (Math.abs(each) > Math.abs(gradient[at]!) ? i : at), 0);
  const others = random.permutation(gradient.length).filter((i) => i !== top);
  return [top, ...others].slice(0, Math.min(count, gradient.length)).sort((a, b) => a - b);
}

function largest(tensors: readonly Tensor[]): number {
  return tensors.reduce((most, each) => Math.max(most, largestMagnitude(each)), 0);
}
