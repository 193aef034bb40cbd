/** @file The cases that are timed, each loaded and ready to be run again and again. */

import { Adapter, crossEntropy, type Feeds, float32, int64, type Model, type Tensor } from '@onnx-lora/sdk';
import { type LoraPlan, ParameterSet, planLora, Random, scalingOf, tensorName, Trainer } from '@onnx-lora/sdk/core';
import type { BenchSettings } from './settings.ts';

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
export type CaseName = 'base' | 'lora' | 'swap' | 'mixed' | 'step' | 'allLinearStep';

/** What is timed, by name, in the order of the report. */
export const benchCases: Readonly<Record<CaseName, BenchCase>> = {
  base: {
    title: 'base forward',
    load: async (model, settings) => {
      const session = await model.session(machine(settings));
      const { inputs } = batchOf(settings);
      return { run: () => session.run(inputs), release: () => session.release() };
    },
  },
  lora: { title: 'LoRA forward (q, v)', load: (model, settings) => adapted(model, settings, () => 'one') },
  swap: {
    title: 'LoRA forward, another adapter each time',
    load: (model, settings) => adapted(model, settings, (run) => (run % 2 === 0 ? 'one' : 'two')),
  },
  mixed: {
    title: 'LoRA forward, another adapter each row',
    load: (model, settings) => {
      const rows = Array.from({ length: settings.batch }, (_, row) => (row % 2 === 0 ? 'one' : 'two'));
      return adapted(model, settings, () => rows);
    },
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

const queryAndValue = ['query', 'value'];
/** All linear layers but the classifier, as PEFT's `all-linear` takes them. */
const allLinear = ['query', 'key', 'value', 'dense'];

function machine({ provider, threads }: BenchSettings): Pick<BenchSettings, 'provider' | 'threads'> {
  return { provider, threads };
}

function planOf(model: Model, { r }: BenchSettings, targetModules: readonly string[]): LoraPlan {
  return planLora(model, { r, alpha: 2 * r, targetModules });
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

/** A session with two adapters, of which `choose` picks by the number of the run. */
async function adapted(
  model: Model,
  settings: BenchSettings,
  choose: (run: number) => string | readonly string[],
): Promise<LoadedCase> {
  const plan = planOf(model, settings, queryAndValue);
  const adapters = { one: randomAdapter(plan, 1), two: randomAdapter(plan, 2) };
  const session = await model.session({ ...machine(settings), adapters });
  const { inputs } = batchOf(settings);
  let runs = 0;
  return { run: () => session.run(inputs, { adapter: choose(runs++) }), release: () => session.release() };
}

function randomAdapter({ plan, config }: LoraPlan, seed: number): Adapter {
  const random = new Random(seed);
  const tensors = new Map<string, Tensor>();
  for (const { site, r } of plan.lowRank) {
    const [out, width] = site.weightShape as [number, number];
    const values = (size: number): Float32Array => new Float32Array(size).map(() => random.uniform(-0.02, 0.02));
    tensors.set(tensorName(site.path, 'lora_A'), float32(values(r! * width), [r!, width]));
    tensors.set(tensorName(site.path, 'lora_B'), float32(values(out * r!), [out, r!]));
  }
  return new Adapter(config, tensors);
}

async function training(model: Model, settings: BenchSettings, { plan, config }: LoraPlan): Promise<LoadedCase> {
  const random = new Random(1);
  const trainer = new Trainer({
    base: model.onnx.model,
    plan,
    loss: (g, outputs, targets) => crossEntropy(g, outputs['logits']!, targets['labels']!),
    // As image classification has it: a batch may be computed in pieces.
    lossWeight: ({ labels }) => labels!.data.length,
    runtime: model.runtime,
    session: machine(settings),
    parameters: (inputs) => ParameterSet.initial(inputs, random, (path) => scalingOf(config, path).scaling),
    name: model.name,
  });
  const { inputs, targets } = batchOf(settings);
  await trainer.compile(inputs, targets);
  return { run: () => trainer.step(inputs, targets, 1e-4), release: () => trainer.release() };
}
