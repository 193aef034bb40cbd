/** @file The cases that are timed, each loaded and ready to be run again and again. */

import { Adapter, type AdapterSession, type Feeds, float32, int64, type Model, type Tensor } from '@onnx-lora/sdk';
import { crossEntropy } from '@onnx-lora/sdk/tasks';
import { type PlannedAdapter, ParameterSet, planAdapter, tensorName, Trainer } from '@onnx-lora/sdk/core';
import { Random } from '@onnx-lora/sdk/data';
import type { BenchSettings } from './settings.ts';
import { median } from './statistics.ts';

/** A case that is loaded. */
export interface LoadedCase {
  run(): Promise<unknown>;
  release(): Promise<void>;
}

/** A kind of work to time. */
export interface BenchCase {
  readonly title: string;
  load(model: Model, settings: BenchSettings): Promise<LoadedCase>;
}

/** Name of a case. */
export type CaseName =
  'base' | 'lora' | 'swap' | 'mixed' | 'newlyMixed' | 'allLinear' | 'mixedAllLinear' | 'step' | 'allLinearStep';

const queryAndValue = ['query', 'value'];
/** All linear layers but the classifier, as PEFT's `all-linear` takes them. */
const allLinear = ['query', 'key', 'value', 'dense'];

/** Timed cases by name, in the order of the report. */
export const benchCases: Readonly<Record<CaseName, BenchCase>> = {
  base: {
    title: 'base forward',
    load: async (model, settings) => {
      const session = await model.session(machine(settings));
      const { inputs } = batchOf(settings);
      return { run: () => session.run(inputs), release: () => session.release() };
    },
  },
  lora: { title: 'LoRA forward (q, v)', load: (model, settings) => adapted(model, settings, queryAndValue, () => 0) },
  swap: {
    title: 'another adapter each time (q, v)',
    load: (model, settings) => adapted(model, settings, queryAndValue, (run) => run),
  },
  mixed: {
    title: 'another adapter in each row (q, v)',
    load: (model, settings) => adapted(model, settings, queryAndValue, permuted(settings)),
  },
  newlyMixed: {
    title: 'rows of adapters not met before (q, v)',
    // So many that a batch like this is forgotten before it comes again.
    load: (model, settings) => adapted(model, settings, queryAndValue, (run) => rows(settings, (row) => run + row)),
  },
  allLinear: {
    title: 'LoRA forward (all linear)',
    load: (model, settings) => adapted(model, settings, allLinear, () => 0),
  },
  mixedAllLinear: {
    title: 'another adapter in each row (all linear)',
    load: (model, settings) => adapted(model, settings, allLinear, permuted(settings)),
  },
  step: {
    title: 'training step (q, v)',
    load: (model, settings) => training(model, settings, planOf(model, settings, queryAndValue)),
  },
  allLinearStep: {
    title: 'training step (all linear)',
    load: (model, settings) => training(model, settings, planOf(model, settings, allLinear)),
  },
};

/** Names of all cases, in the order of the report. */
export const caseNames = Object.keys(benchCases) as readonly CaseName[];

/** The same adapters in each batch, in another order. */
function permuted(settings: BenchSettings): (run: number) => readonly number[] {
  return (run) => rows(settings, (row) => (run + row) % settings.batch);
}

function rows({ batch }: BenchSettings, adapter: (row: number) => number): readonly number[] {
  return Array.from({ length: batch }, (_, row) => adapter(row));
}

function machine({ provider, threads }: BenchSettings): Pick<BenchSettings, 'provider' | 'threads'> {
  return { provider, threads };
}

function planOf(model: Model, { r }: BenchSettings, targetModules: readonly string[]): PlannedAdapter {
  return planAdapter(model, { r, loraAlpha: 2 * r, targetModules });
}

function batchOf({ batch, image, classes }: BenchSettings): { inputs: Feeds; targets: Feeds } {
  const random = new Random(1);
  const pixels = new Float32Array(batch * 3 * image * image).map(() => random.uniform(-1, 1));
  const labels = Array.from({ length: batch }, () => random.index(classes));
  return {
    inputs: { pixel_values: float32(pixels, [batch, 3, image, image]) },
    targets: { labels: int64(labels, [batch]) },
  };
}

/** Runs with the adapters that `choose` numbers, by the number of the run: one, or one for each row. */
async function adapted(
  model: Model,
  settings: BenchSettings,
  targetModules: readonly string[],
  choose: (run: number) => number | readonly number[],
): Promise<LoadedCase> {
  const session = await servingSession(model, settings, targetModules);
  const names = session.adapterNames;
  const name = (number: number): string => names[number % names.length]!;
  const { inputs } = batchOf(settings);
  let runs = 0;
  return {
    run: () => {
      const chosen = choose(runs++);
      return session.run(inputs, { adapter: typeof chosen === 'number' ? name(chosen) : chosen.map(name) });
    },
    release: () => session.release(),
  };
}

const serving = new WeakMap<Model, Map<readonly string[], Promise<AdapterSession>>>();

/** A session with twice as many adapters as a batch has rows. Cases with the same targets share it. */
function servingSession(
  model: Model,
  settings: BenchSettings,
  targetModules: readonly string[],
): Promise<AdapterSession> {
  const byTargets = serving.get(model) ?? new Map<readonly string[], Promise<AdapterSession>>();
  serving.set(model, byTargets);
  let session = byTargets.get(targetModules);
  if (!session) {
    const plan = planOf(model, settings, targetModules);
    const numbers = Array.from({ length: 2 * settings.batch }, (_, i) => i);
    const adapters = Object.fromEntries(numbers.map((i) => [`adapter${i}`, randomAdapter(plan, i)]));
    byTargets.set(targetModules, (session = model.session({ ...machine(settings), adapters })));
  }
  return session;
}

/** Cost of changing adapters in a serving session. */
export interface SwapFigures {
  /** Time that another adapter than in the run before adds to a run: the median; noise can bring it below zero. */
  readonly swapMs: number;
  /** Milliseconds to bring a new adapter into the session. */
  readonly addMs: number;
}

/** Changes adapters again and again; the fewer tokens the input has, the less noise there is. */
export async function timeSwap(model: Model, settings: BenchSettings): Promise<SwapFigures> {
  const session = await servingSession(model, settings, queryAndValue);
  const { inputs } = batchOf(settings);
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };
  const run = (adapter: number): Promise<number> =>
    timed(() => session.run(inputs, { adapter: session.adapterNames[adapter % (2 * settings.batch)]! }));
  const [added, differences]: number[][] = [[], []];
  const plan = planOf(model, settings, queryAndValue);
  for (let round = 0; round < settings.swaps; round++) {
    const adapter = randomAdapter(plan, round);
    added!.push(await timed(() => session.add('another', adapter)));
    session.remove('another');
    await run(round);
    const same = await run(round);
    differences!.push((await run(round + 1)) - same);
  }
  await session.release();
  return { swapMs: median(differences!), addMs: median(added!) };
}

function randomAdapter({ plan, config }: PlannedAdapter, seed: number): Adapter {
  const random = new Random(seed);
  const tensors = new Map<string, Tensor>();
  for (const { lowRank } of plan) {
    if (!lowRank) continue;
    const { site, r } = lowRank;
    const [out, width] = site.weightShape as [number, number];
    const values = (size: number): Float32Array => new Float32Array(size).map(() => random.uniform(-0.02, 0.02));
    tensors.set(tensorName(site.path, 'lora_A'), float32(values(r! * width), [r!, width]));
    tensors.set(tensorName(site.path, 'lora_B'), float32(values(out * r!), [out, r!]));
  }
  return new Adapter(config, tensors);
}

async function training(model: Model, settings: BenchSettings, { plan }: PlannedAdapter): Promise<LoadedCase> {
  const random = new Random(1);
  const trainer = new Trainer({
    base: model.onnx.model,
    plan,
    loss: (g, outputs, targets) => crossEntropy(g, outputs['logits']!, targets['labels']!),
    // As image classification has it: a batch may be computed in pieces.
    lossWeight: ({ labels }) => labels!.data.length,
    runtime: model.runtime,
    session: machine(settings),
    parameters: (inputs) => ParameterSet.initial(inputs, random),
    name: model.name,
  });
  const { inputs, targets } = batchOf(settings);
  await trainer.compile(inputs, targets);
  return { run: () => trainer.step(inputs, targets, 1e-4), release: () => trainer.release() };
}
