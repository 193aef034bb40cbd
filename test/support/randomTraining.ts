/** @file Training of a random model, the same by its plain graph, and differences of the loss. */

import fc from 'fast-check';
import { LowRank } from '../../packages/sdk/src/lora/methods/lora.ts';
import { kindOf } from '../../packages/sdk/src/lora/kinds/table.ts';
import { prepareForMatching } from '../../packages/sdk/src/match/view.ts';
import { chosenProducts } from '../../packages/sdk/src/ops/precision/precision.ts';
import { withProducts } from '../../packages/sdk/src/ops/precision/integerProducts.ts';
import { runSync } from '../../packages/sdk/src/graph/eventLoop.ts';
import { OrtRuntime } from '../../packages/sdk/src/runtime/ort.ts';
import { Random } from '../../packages/sdk/src/runtime/random.ts';
import type { Session } from '../../packages/sdk/src/runtime/session.ts';
import type { Feeds } from '../../packages/sdk/src/runtime/tensor.ts';
import { drawOnce, withoutZeros } from '../../packages/testing/src/random.ts';
import { wideLoss } from '../../packages/testing/src/gradients/wideLoss.ts';
import { MaskDrawer } from '../../packages/sdk/src/train/dropout.ts';
import { type TrainingRewrite, trainingRewrites } from '../../packages/sdk/src/train/graph/rewrites.ts';
import {
  buildTrainingGraph,
  isOfGradient,
  type TrainingGraph,
  type TrainingGraphRequest,
} from '../../packages/sdk/src/train/graph/trainingGraph.ts';
import { ParameterSet } from '../../packages/sdk/src/train/parameters.ts';
import { GradientStep } from '../../packages/sdk/src/train/step/gradientStep.ts';
import { stepFeeds } from '../../packages/sdk/src/train/step/prepareStep.ts';
import type { GradientStepRequest } from '../../packages/sdk/src/train/step/stepRequest.ts';
import { ExactProducts } from './exactProducts.ts';
import { sited } from './formAdapters.ts';
import { cpuSession } from './graphs.ts';
import { type DrawnModel, drawnModels, randomModel, type RandomModel } from './randomGraphs.ts';

/**
 * Ways to compute a step: the whole batch, row by row, with a cached prefix below the adapters, with one graph for all batch
 * sizes, or with the products of `int8` in exact arithmetic.
 */
type Way = 'whole' | 'pieces' | 'prefix' | 'sizes' | 'products';

/** Savings at work in a graph, besides its rewrites. */
export type Saving = Exclude<Way, 'whole'> | 'recomputed' | 'attention in parts' | 'sums of products';

/** All of them. */
export const savings: readonly Saving[] = [
  'pieces', 'prefix', 'sizes', 'products', 'recomputed', 'attention in parts', 'sums of products']; // prettier-ignore

/** A model, and how it is trained. */
export interface DrawnTraining {
  readonly model: DrawnModel;
  /** Which layers are adapted: a bit each. */
  readonly adapted: number;
  readonly rank: number;
  readonly variant: 'plain' | 'dropout' | 'dora' | 'bias';
  readonly memory: 'auto' | number;
  readonly way: Way;
}

/** Trainings that shrink to plain ones of simple models. */
export const drawnTrainings: fc.Arbitrary<DrawnTraining> = fc.record({
  model: drawnModels(),
  adapted: fc.integer({ min: 1, max: 2 ** 12 - 1 }),
  rank: fc.constantFrom(1, 2),
  variant: fc.constantFrom('plain', 'plain', 'bias', 'dropout', 'dora'),
  memory: fc.constantFrom<'auto' | number>('auto', 20_000, 3000),
  way: fc.constantFrom('whole', 'whole', 'pieces', 'prefix', 'sizes', 'products'),
});

/** A loss, and its gradients by graph input. */
export interface Computed {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** So small in doubles that hardly a step crosses a bend, such as that of Relu. */
const STEP = 1e-6;

/** A random model with its training. */
export class RandomTraining {
  readonly #drawn: DrawnTraining;
  readonly #random: RandomModel;
  readonly #request: TrainingGraphRequest;
  /** Savings at work so far. */
  readonly seen: Set<Saving> = new Set();

  constructor(drawn: DrawnTraining) {
    const { adapted, rank, variant, memory, way } = drawn;
    // One graph is looked for where more than the rows differ between batches.
    const model: DrawnModel = way === 'sizes' ? { ...drawn.model, end: 'rows' } : drawn.model;
    this.#drawn = { ...drawn, model };
    this.#random = randomModel(model);
    const base = prepareForMatching(this.#random.model);
    const { sites } = sited(base);
    const chosen = sites.filter((_, i) => ((adapted >> (i % 12)) & 1) === 1);
    const plan = (chosen.length > 0 ? chosen : sites).map((site) => {
      const kind = kindOf(site);
      const r = rank * Math.max(1, kind.leastRank(site));
      const own = { r, dora: variant === 'dora', bias: variant === 'bias' };
      const dropout = variant === 'dropout' && site.kind !== 'embedding' ? 0.3 : 0;
      const isRefused = kind.refuses(site, own) !== undefined;
      return new LowRank({ site, dropout, ...own, ...(isRefused ? { dora: false, bias: false } : {}) });
    });
    const { inputs, targets, loss } = this.#random;
    this.#request = { base, plan, inputs, targets, loss, memory };
  }

  /** The training graph of the batch. */
  build(without: readonly TrainingRewrite[] = [], memory: DrawnTraining['memory'] = this.#drawn.memory): TrainingGraph {
    return buildTrainingGraph({ ...this.#request, memory, without: new Set(without) });
  }

  /** Loss and gradients of training. */
  async trained(): Promise<Computed> {
    const { variant, way } = this.#drawn;
    const graph = this.build();
    if (graph.recomputes) this.seen.add('recomputed');
    if (graph.model.graph!.node!.some(({ name }) => name?.endsWith('/part1'))) this.seen.add('attention in parts');
    // Pieces, and steps after others, draw other masks than the whole.
    const isSame = variant !== 'dropout' && (way !== 'pieces' || this.#random.isMean);
    switch (isSame || way === 'products' ? way : 'whole') {
      case 'whole':
        return this.#step({});
      case 'pieces':
        return this.#step({ pieceRows: () => 1, lossWeight: ({ weights }) => weights!.dims[0]! }, (step) => {
          if (step.memoryPlan!.rows < step.memoryPlan!.batchRows) this.seen.add('pieces');
        });
      case 'prefix':
        return this.#step({ prefix: { bytes: 1e9, examples: this.#drawn.model.batch, leastShare: 1e-9 } }, (step) => {
          if (step.prefix?.kept) this.seen.add('prefix');
        });
      case 'sizes':
        return this.#inAllSizes();
      case 'products':
        return this.#withProducts(graph);
    }
  }

  /** Loss and gradients of the graph without any rewrite. */
  async plain(): Promise<Computed> {
    return this.#run(this.build(trainingRewrites, 'auto'));
  }

  /** Where gradients are not the slopes of the loss along a random direction of each tensor. */
  async offDifferences({ gradients }: Computed): Promise<string[]> {
    const parameters = initial(this.build().inputs);
    const request = { ...this.#request, without: new Set(trainingRewrites), name: 'random', holdsStopped: this.#drawn.variant === 'dora' }; // prettier-ignore
    const { session, precision, lossAt } = await wideLoss(request, parameters);
    if (precision !== 'float64') return ['ONNX Runtime has no kernel in double precision for one of the steps'];
    const random = new Random(3);
    const total = normOfAll(gradients);
    const problems: string[] = [];
    for (const [name, values] of lossAt.values) {
      const gradient = gradients.get(name) ?? new Float32Array(values.length);
      const direction = Float64Array.from(values, () => (random.next() < 0.5 ? -1 : 1));
      const before = values.slice();
      const at = (step: number): Promise<number> => {
        values.forEach((_, i) => (values[i] = before[i]! + step * direction[i]!));
        return lossAt.run();
      };
      const slope = ((await at(STEP)) - (await at(-STEP))) / (2 * STEP);
      values.set(before);
      const found = gradient.reduce((sum, each, i) => sum + each * direction[i]!, 0);
      const allowed = 2e-3 * normOf(gradient) + 1e-4 * total + 1e-6;
      if (!(Math.abs(found - slope) <= allowed))
        problems.push(`${name} has the slope ${found} along a direction, expected ${slope}`);
    }
    await session.release();
    return problems;
  }

  /** As {@link GradientStep} computes it. */
  async #step(own: Partial<GradientStepRequest>, look?: (step: GradientStep) => void): Promise<Computed> {
    const { base, plan, loss, inputs, targets } = this.#request;
    const step = new GradientStep({
      base,
      plan,
      loss,
      memory: this.#drawn.memory,
      name: 'random',
      runtime: new OrtRuntime(),
      session: { provider: 'cpu', threads: 1 },
      drawMask: drawOnce,
      parameters: initial,
      ...own,
    });
    try {
      const examples = Array.from({ length: this.#drawn.model.batch }, (_, i) => i);
      let found = await step.lossAndGradients(inputs, targets, 1, own.prefix && examples);
      // This time from the cache.
      if (own.prefix) found = await step.lossAndGradients(inputs, targets, 1, examples);
      look?.(step);
      return found;
    } finally {
      await step.release();
    }
  }

  /** As a step computes it that has seen batches of other sizes. */
  async #inAllSizes(): Promise<Computed> {
    const { model } = this.#drawn;
    const runtime = new CountingRuntime();
    const sizes = [2, 4, 5, 3];
    const { base, plan, loss } = this.#request;
    const step = new GradientStep({
      base,
      plan,
      loss,
      runtime,
      parameters: initial,
      name: 'random',
      session: { provider: 'cpu', threads: 1 },
    });
    try {
      for (const batch of sizes) {
        const { inputs, targets } = randomModel({ ...model, batch });
        await step.lossAndGradients(inputs, targets);
      }
      if (runtime.loaded < sizes.length) this.seen.add('sizes');
      return await step.lossAndGradients(this.#request.inputs, this.#request.targets);
    } finally {
      await step.release();
    }
  }

  /** With each product with a weight, and each sum of them, as `int8` has them, but in numbers that are not rounded. */
  async #withProducts(graph: TrainingGraph): Promise<Computed> {
    const precision = { name: 'int8', saturates: false, smallest: 1 } as const;
    const emitter = new ExactProducts(this.#drawn.model.opset);
    const chosen = chosenProducts(graph.model, precision, isOfGradient);
    if (chosen.size > 0) this.seen.add('products');
    const changed = runSync(withProducts(graph.model.graph!, emitter, chosen));
    if (emitter.sums > 0) this.seen.add('sums of products');
    return this.#run({ ...graph, model: { ...graph.model, graph: changed } });
  }

  async #run(graph: TrainingGraph): Promise<Computed> {
    const parameters = initial(graph.inputs);
    const session = await cpuSession(graph.model);
    const feeds = stepFeeds(graph, parameters, new MaskDrawer(0, drawOnce), this.#request, 1);
    const read = Object.entries(feeds).filter(([name]) => session.inputNames.includes(name));
    const outputs = await session.run(Object.fromEntries(read) as Feeds);
    await session.release();
    const gradients = parameters.all.flatMap(({ input }): [string, Float32Array][] => {
      const output = graph.gradients.get(input.name);
      if (output === undefined) return [];
      const { scale } = input.tensor;
      return [[input.name, (outputs[output]!.data as Float32Array).map((each) => scale * each)]];
    });
    return { loss: outputs[graph.loss]!.data[0] as number, gradients: new Map(gradients) };
  }
}

/** A runtime that counts loaded graphs. */
class CountingRuntime extends OrtRuntime {
  loaded = 0;

  override async createSession(...given: Parameters<OrtRuntime['createSession']>): Promise<Session> {
    this.loaded++;
    return super.createSession(...given);
  }
}

/** The same values for the same inputs, whatever graph has them. */
function initial(inputs: TrainingGraph['inputs']): ParameterSet {
  const random = new Random(7);
  return withoutZeros(ParameterSet.initial(inputs, random), random);
}

function normOf(values: ArrayLike<number>): number {
  return Math.sqrt(Array.from(values).reduce((sum, each) => sum + each * each, 0));
}

function normOfAll(gradients: Computed['gradients']): number {
  return normOf([...gradients.values()].map(normOf));
}

/** Where two computations differ by more than rounding. */
export function differing(found: Computed, expected: Computed): string[] {
  const total = normOfAll(found.gradients);
  const isClose = Math.abs(found.loss - expected.loss) <= 1e-5 * (1 + Math.abs(expected.loss));
  const problems = isClose ? [] : [`the loss is ${found.loss}, expected ${expected.loss}`];
  for (const [name, gradient] of expected.gradients) {
    // Through guards against entirely masked rows, only the rewritten graph has a gradient.
    if (gradient.some(Number.isNaN)) continue;
    const own = found.gradients.get(name) ?? new Float32Array(gradient.length);
    const off = normOf(gradient.map((each, i) => each - own[i]!));
    // If all gradients are zero, such as with one class, only rounding is left.
    if (!(off <= 5e-4 * normOf(gradient) + 5e-5 * total + 1e-6))
      problems.push(`${name} is off by ${off} of ${normOf(gradient)}`);
  }
  return problems;
}

/** A graph as text, the same for graphs that differ in names alone. */
function structure({ model }: TrainingGraph): string {
  const places = new Map<string, string>();
  const constants = new Set((model.graph!.initializer ?? []).map(({ name }) => name));
  const place = (name: string): string => places.get(name) ?? (constants.has(name) ? 'constant' : name);
  const texts = model.graph!.node!.map(({ opType, input, output }) => {
    const text = `${opType}(${input!.map(place).join()})`;
    for (const name of output!) places.set(name, `#${places.size}`);
    return text;
  });
  return texts.join(' ');
}

/** The rewrites, of these, that are at work: without one of them, or with it alone, it is another graph. */
export function atWork(training: RandomTraining, rewrites: Iterable<TrainingRewrite>): TrainingRewrite[] {
  const [all, none] = [structure(training.build()), structure(training.build(trainingRewrites))];
  return [...rewrites].filter((rewrite) => {
    const others = trainingRewrites.filter((each) => each !== rewrite);
    return structure(training.build([rewrite])) !== all || structure(training.build(others)) !== none;
  });
}
