/** @file Checks of a real model, one at a time, with a random adapter on its layers. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  Adapter,
  type Feeds,
  float32,
  type LoraOptions,
  merge,
  type Model,
  type ModuleInfo,
  openModel,
  OrtRuntime,
  type Tensor,
  train,
} from '@onnx-lora/sdk';
import { type GraphBuilder, meanSquaredError, type Task, type Value } from '@onnx-lora/sdk/tasks';
import { openOnnx, readFloats, sessionModel, tensorProto } from '@onnx-lora/sdk/plugin';
import { checkAdapterRoundTrip, checkAdapterRows, checkGradients, randomAdapter } from '@onnx-lora/testing';
import { checkDetects, type DetectsReport } from './detects.ts';
import { feedsOf } from './feeds.ts';
import type { WildCheck, WildModel } from './models.ts';

/** Results for one file. */
export interface WildReport {
  /** Problems by the check that found them; none for a check that passed. */
  readonly problems: Readonly<Partial<Record<WildCheck, string>>>;
  /** How many layers can be adapted, by their kind. */
  readonly sites: Readonly<Record<string, number>>;
  /** The operator set of the file. */
  readonly opset: number;
  /** Loss before the first step and at the last. */
  readonly loss?: readonly [first: number, last: number];
  /** A detector's losses and average precision on scenes. */
  readonly detects?: DetectsReport;
  readonly seconds: number;
}

/** How far apart two graphs may be that compute the same in float32, of the largest magnitude of the output. */
const SAME = 1e-3;
/** In graphs that round to halves or whole numbers a small difference may become a whole step. */
const ROUNDED = 5e-2;
/** Differences are taken of the layers of the graph's beginning, middle and end, and of one of each kind. */
const MOST_DIFFERENTIATED = 5;

/** Runs the checks on a file; each that ends in an error has the error as its problem, and the others go on. */
export async function checkWildModel(wild: WildModel, file: string): Promise<WildReport> {
  const start = performance.now();
  const problems: Partial<Record<WildCheck, string>> = {};
  const sites: Record<string, number> = {};
  let loss: [number, number] | undefined;
  let model: Model | undefined;
  const attempt = async (check: WildCheck, work: () => Promise<readonly string[]>): Promise<void> => {
    if (wild.skips?.[check] !== undefined) return;
    try {
      const [problem, ...more] = await work();
      if (problem !== undefined) problems[check] = `${problem}${more.length > 0 ? ` (and ${more.length} more)` : ''}`;
    } catch (error) {
      problems[check] = (error as Error).message;
    }
  };
  await attempt('opens', async () => {
    model = await openModel(file);
    const layers = model.modules().filter(({ partOf }) => partOf === undefined);
    for (const { kind } of layers) sites[kind] = (sites[kind] ?? 0) + 1;
    const found = layers.length;
    return found >= wild.sites ? [] : [`${found} layers were found of ${wild.sites}`];
  });
  if (model && Object.keys(sites).length > 0) {
    const feeds = feedsOf(model, wild);
    const subject = new Subject(model, wild, feeds, await plain(file, feeds));
    await attempt('base', () => subject.baseProblems());
    await attempt('gradients', () => subject.gradientProblems());
    await attempt('learns', async () => {
      loss = await subject.lossOverSteps();
      return loss[1] < loss[0] ? [] : [`the loss goes from ${loss[0].toFixed(4)} to ${loss[1].toFixed(4)}`];
    });
    await attempt('merges', () => subject.mergeProblems());
    await attempt('adapter', () => subject.adapterProblems());
    await attempt('rows', () => subject.rowProblems());
  }
  let detects: DetectsReport | undefined;
  if (wild.detects)
    await attempt('detects', async () => {
      const { problems: found, report } = await checkDetects(file, isWhole, wild.detects!);
      detects = report;
      return found;
    });
  return {
    problems,
    sites,
    opset: model?.opset ?? 0,
    ...(loss ? { loss } : {}),
    ...(detects && { detects }),
    seconds: (performance.now() - start) / 1000,
  };
}

/** Layers that a matrix of rank 4 fits into: not those of one channel each. */
function isWhole({ kind, weightShape }: ModuleInfo): boolean {
  return kind !== 'parameter' && (kind === 'linear' || kind === 'embedding' || weightShape[1] !== 1);
}

/** One model with its feeds, and its outputs in plain ONNX Runtime. */
class Subject {
  readonly model: Model;
  readonly wild: WildModel;
  readonly feeds: Feeds;
  readonly base: Readonly<Record<string, Tensor>>;
  readonly #output: string;
  readonly #lora: LoraOptions;

  constructor(model: Model, wild: WildModel, feeds: Feeds, base: Readonly<Record<string, Tensor>>) {
    this.model = model;
    this.wild = wild;
    this.feeds = feeds;
    this.base = base;
    this.#output = wild.output ?? Object.keys(base).find((name) => base[name]!.type.startsWith('float'))!;
    this.#lora = { r: 4, loraAlpha: wild.alpha ?? 1, targetModules: isWhole };
  }

  /** With an adapter that changes nothing, outputs equal those of the file in plain ONNX Runtime. */
  async baseProblems(): Promise<string[]> {
    const { config, tensors } = await randomAdapter(this.model, { lora: this.#lora });
    const nothing = [...tensors].map(([name, tensor]): [string, Tensor] => [
      name,
      /lora(_embedding)?_B/.test(name) ? float32(new Float32Array(tensor.data.length), tensor.dims) : tensor,
    ]);
    return this.#differences(await this.#adapted(new Adapter(config, new Map(nothing))), this.base);
  }

  /** Gradients agree with central differences of the loss. */
  async gradientProblems(): Promise<string[]> {
    const whole = this.model.modules().filter((module) => module.partOf === undefined && isWhole(module));
    const spread = [0, 0.5, 1].map((part) => whole[Math.round(part * (whole.length - 1))]!.path);
    const ofEachKind = [...new Map(whole.map(({ kind, path: name }) => [kind, name])).values()];
    const targetModules = [...new Set([...spread, ...ofEachKind])].slice(0, MOST_DIFFERENTIATED);
    const found = await checkGradients(this.model, {
      lora: { ...this.#lora, targetModules: ({ path: name }) => targetModules.includes(name) },
      loss: this.#loss,
      inputs: this.feeds,
      targets: await this.#targets(),
      elements: 2,
    });
    return found.flatMap(({ problem }) => problem ?? []);
  }

  /** Some steps towards what another adapter computes. */
  async lossOverSteps(): Promise<[number, number]> {
    const targets = await this.#targets();
    const task: Task = {
      name: 'wild',
      prepare: () =>
        Promise.resolve({
          train: { length: 1, get: () => Promise.resolve(0) },
          collate: () => Promise.resolve({ inputs: this.feeds, targets }),
          loss: this.#loss,
          metrics: () => ({ update: () => undefined, result: () => ({}) }),
        }),
    };
    const run = await train(this.model, {
      task,
      lora: this.#lora,
      steps: 6,
      batchSize: 1,
      lr: this.wild.lr ?? 2e-3,
      schedule: 'constant',
      warmupSteps: 0,
    });
    const losses: number[] = [];
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    await run.done;
    return [losses[0]!, losses.at(-1)!];
  }

  /** The merged file in plain ONNX Runtime gives the outputs of the adapter in a session. */
  async mergeProblems(): Promise<string[]> {
    const adapter = await randomAdapter(this.model, { lora: this.#lora });
    const adapted = await this.#adapted(adapter);
    if (this.#differences(adapted, this.base).length === 0) return ['the adapter changes nothing'];
    const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-wild-'));
    try {
      const merged = path.join(scratch, 'merged.onnx');
      const { rounding } = await merge(this.model, adapter, merged);
      return this.#differences(await plain(merged, this.feeds), adapted, rounding.length > 0 ? ROUNDED : undefined);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }

  /** Saved and loaded, without it, merged and taken out. */
  async adapterProblems(): Promise<string[]> {
    const adapter = await randomAdapter(this.model, { lora: this.#lora });
    return checkAdapterRoundTrip(this.model, adapter, { feeds: this.feeds, rows: false });
  }

  /** Row by row. */
  async rowProblems(): Promise<string[]> {
    return checkAdapterRows(this.model, await randomAdapter(this.model, { lora: this.#lora }), { feeds: this.feeds });
  }

  readonly #loss = (
    g: GraphBuilder,
    outputs: Readonly<Record<string, Value>>,
    { wanted, weight }: Readonly<Record<string, Value>>,
  ): Value => {
    const FLOAT = 1; // as ONNX numbers its types
    const found = g.Mul(g.Cast(outputs[this.#output]!, FLOAT), weight!);
    return meanSquaredError(g, found, g.Mul(wanted!, weight!));
  };

  /** Outputs of another adapter, and 1 over their distance from the base's, so that the loss begins at 1. */
  async #targets(): Promise<Feeds> {
    const other = await this.#adapted(await randomAdapter(this.model, { lora: this.#lora, seed: 2 }));
    const [wanted, base] = [numbersOf(other[this.#output]!), numbersOf(this.base[this.#output]!)];
    const distance = Math.sqrt(wanted.reduce((sum, each, i) => sum + (each - base[i]!) ** 2, 0) / wanted.length);
    return {
      wanted: float32([...wanted], other[this.#output]!.dims),
      weight: float32([1 / Math.max(distance, 1e-6)], []),
    };
  }

  async #adapted(adapter: Adapter): Promise<Readonly<Record<string, Tensor>>> {
    const session = await this.model.session({ adapters: { adapter }, threads: 1, provider: 'cpu', worker: false });
    try {
      return await session.run(this.feeds, { adapter: 'adapter' });
    } finally {
      await session.release();
    }
  }

  /** How outputs differ by more than they may, each by its largest magnitude. */
  #differences(
    found: Readonly<Record<string, Tensor>>,
    expected: Readonly<Record<string, Tensor>>,
    mayDiffer = this.wild.rounds ? ROUNDED : SAME,
  ): string[] {
    return Object.entries(expected).flatMap(([name, tensor]) => {
      const actual = found[name];
      if (actual?.dims.join() !== tensor.dims.join())
        return [`${name} is [${actual?.dims.join(', ') ?? 'missing'}], expected [${tensor.dims.join(', ')}]`];
      const [a, b] = [numbersOf(actual), numbersOf(tensor)];
      const largest = b.reduce((most, each) => Math.max(most, Math.abs(each)), 1e-6);
      const furthest = a.reduce((most, each, i) => Math.max(most, Math.abs(each - b[i]!)), 0);
      if (furthest <= mayDiffer * largest) return [];
      return [`${name} differs by ${furthest.toExponential(1)} where the largest is ${largest.toExponential(1)}`];
    });
  }
}

/** Outputs of the unchanged file in ONNX Runtime. */
async function plain(file: string, feeds: Feeds): Promise<Readonly<Record<string, Tensor>>> {
  const session = await new OrtRuntime().createSession(
    { ...sessionModel(openOnnx(file).model), name: file },
    { provider: 'cpu', threads: 1 },
  );
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

function numbersOf(tensor: Tensor): Float64Array {
  const { type, data } = tensor;
  return Float64Array.from(
    type === 'float16' ? readFloats(tensorProto('', tensor)) : (data as ArrayLike<number>),
    Number,
  );
}
