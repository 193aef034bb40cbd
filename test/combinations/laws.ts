/**
 * @file Laws that every adapter of every network keeps, checked without an oracle:
 *
 * - every layer is found under torch's name, with torch's shape;
 * - gradients are the finite differences of the loss, in double precision where ONNX Runtime has the kernels;
 * - untrained, the adapter changes nothing; and training runs;
 * - saved and loaded, it has the same bits; merged, it computes the same; unmerged, the base; rows of a batch, each alone;
 * - in the file that ONNX Runtime's optimiser makes of the model, it has the same effect;
 * - what the SDK does not do ends in an OnnxLoraError.
 */

import path from 'node:path';
import * as ort from 'onnxruntime-node';
import {
  Adapter,
  type Feeds,
  type LoraOptions,
  type Model,
  OnnxLoraError,
  openModel,
  OrtRuntime,
  type Tensor,
  train,
} from '@onnx-lora/sdk';
import { methodsPlugin } from '@onnx-lora/methods';
import { isForTraining } from '@onnx-lora/sdk/core';
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import type { LossFragment, Task } from '@onnx-lora/sdk/tasks';
import { checkAdapterRoundTrip, checkGradients, randomAdapter } from '@onnx-lora/testing';
import { difference } from '../../packages/testing/src/graphs.ts';
import { inScratch, released } from '../../packages/testing/src/scratch.ts';
import { buildNetwork, type BuiltNetwork } from './buildNetwork.ts';
import { type DrawnMethod, loraOptions } from './methods.ts';
import type { DrawnNetwork } from './network.ts';

/** A network and what is put into it. */
export interface Draw {
  readonly network: DrawnNetwork;
  readonly method: DrawnMethod;
}

/** Result of a draw: the laws that it breaks, or the error with which the SDK refuses it. */
export interface Outcome {
  readonly problems: readonly string[];
  readonly refused?: { readonly code: string; readonly message: string };
}

/** Rounding of a small network in single precision, relative to its largest output. */
const SINGLE = 2e-5;

/** Rounding of gradients that normalisations make zero; the loss is about 1. */
const NOISE = 1e-5;

/** How far later layers may amplify the rounding of weights in 16 bits, beyond what the test kit allows. */
const AMPLIFIED = 3;

/** Methods that PEFT starts elsewhere than at the base, some in some settings: from random numbers, or from a part of the weight. */
const startsOff: ReadonlySet<string> = new Set([
  'c3a',
  'deft',
  'fourierft',
  'hra',
  'kasa',
  'lora-xs',
  'unilora',
  'vblora',
]);

/** Checks a draw. */
export async function outcomeOf({ network, method }: Draw): Promise<Outcome> {
  try {
    return { problems: await inScratch((folder) => problemsOf(network, method, folder)) };
  } catch (error) {
    if (error instanceof OnnxLoraError) return { problems: [], refused: { code: error.code, message: error.message } };
    return { problems: [`an error without a code: ${error instanceof Error ? error.stack : String(error)}`] };
  }
}

async function problemsOf(drawn: DrawnNetwork, method: DrawnMethod, folder: string): Promise<string[]> {
  const built = buildNetwork(drawn);
  const lora = loraOptions(method, built);
  if (!lora) return [];
  const { feeds } = built;
  const plainFile = path.join(folder, 'plain.onnx');
  writeOnnx(plainFile, built.model);
  const plain = await open(plainFile);
  const adapter = await randomAdapter(plain, { lora, seed: drawn.seed });
  const roundTrip = await checkAdapterRoundTrip(plain, adapter, { feeds, rows: drawn.dynamic });
  const problems = [
    ...found(plain, built),
    ...roundTrip.filter((each) => !isExcused(each, drawn, method)),
    ...(drawn.storage === 'float32' ? await gradientProblems(plain, lora, feeds) : []),
    // Training takes a third of the time, so that one draw of four trains.
    ...(drawn.seed % 4 === 0 ? await startProblems(plain, lora, feeds, startsOff.has(method.method)) : []),
  ];
  if (drawn.optimiser === 'plain' || !keepsNames(drawn)) return problems;
  const file = path.join(folder, 'optimised.onnx');
  await optimise(plainFile, file, drawn.optimiser);
  return [...problems, ...(await sameProblems(plain, await open(file), adapter, feeds))];
}

/**
 * AdaLoRA's product of three small factors is below the rounding of outputs; queries of a single key change nothing; and
 * weights in 16 bits round.
 */
function isExcused(problem: string, { storage, length }: DrawnNetwork, { method }: DrawnMethod): boolean {
  if ((method === 'adalora' || length === 1) && problem.startsWith('the adapter changes no output')) return true;
  const [, off, allowed] = /off by (\S+) of its norm, allowed (\S+)$/.exec(problem) ?? [];
  return storage !== 'float32' && Number(off) < AMPLIFIED * Number(allowed);
}

const open = (file: string): Promise<Model> => openModel(file, { plugins: [methodsPlugin], runtime: new OrtRuntime() });

/**
 * Whether ONNX Runtime's optimiser leaves the names: it folds a Cast or Transpose of a weight into one without a name, and
 * drops the metadata of nodes. Batch norms become part of convolutions, which get a layout of their own at the highest level.
 */
function keepsNames({ dialect, storage, blocks, start, head, optimiser }: DrawnNetwork): boolean {
  const isNamed = dialect === 'torchscript';
  if (start === 'image')
    return (
      optimiser !== 'all' &&
      blocks.every(({ imageNorm }) => imageNorm !== 'BatchNormalization' && (isNamed || imageNorm !== 'group norm')) &&
      (isNamed || storage === 'float32')
    );
  if (start === 'tokens' && head === 'tied' && dialect === 'weights') return false;
  // A bias that two calls share behind a Transpose becomes two constants.
  if (blocks.some(({ kind, linear }) => linear === 'weight first' && (kind === 'twice' || kind === 'shared')))
    return false;
  return isNamed || (storage === 'float32' && blocks.every(({ linear }) => linear !== 'MatMul transposed'));
}

/** Writes the file that ONNX Runtime makes of a model. */
async function optimise(from: string, to: string, level: 'basic' | 'extended' | 'all'): Promise<void> {
  const session = await ort.InferenceSession.create(from, {
    graphOptimizationLevel: level,
    optimizedModelFilePath: to,
    logSeverityLevel: 3,
  });
  await session.release();
}

function found(model: Model, { layers }: BuiltNetwork): string[] {
  const modules = new Map(model.modules().map((module) => [module.path, module]));
  return layers.flatMap(({ path: name, kind, weightShape }) => {
    const module = modules.get(name);
    if (!module) return [`"${name}" is not among the modules: ${[...modules.keys()].join(', ')}`];
    const is = `${module.kind} ${module.weightShape.join('×')}`;
    const wanted = `${kind} ${weightShape.join('×')}`;
    return is === wanted ? [] : [`"${name}" is ${is}, not ${wanted}`];
  });
}

const loss: LossFragment = (g, { logits }) => {
  const axes = [...logits!.shape!.keys()];
  return g.ReduceMean(g.Mul(logits!, g.Tanh(logits!)), axes, false);
};

async function gradientProblems(model: Model, lora: LoraOptions, inputs: Feeds): Promise<string[]> {
  const differences = await checkGradients(model, { lora, loss, inputs, targets: {}, elements: 4 });
  return differences.flatMap(({ problem, maxError }) => (problem === undefined || maxError < NOISE ? [] : problem));
}

async function startProblems(model: Model, lora: LoraOptions, feeds: Feeds, isOff: boolean): Promise<string[]> {
  const examples = { length: 1, get: (i: number) => Promise.resolve(i) };
  const task: Task<number> = {
    name: 'memorise',
    prepare: () =>
      Promise.resolve({
        train: examples,
        validation: examples,
        collate: () => Promise.resolve({ inputs: feeds, targets: {} }),
        loss,
        metrics: () => ({ update: () => undefined, result: () => ({}) }),
      }),
  };
  const run = await train(model, { task, lora, steps: 2, lr: 1e-3, provider: 'cpu', threads: 1 });
  const start = await outputs(model, feeds, copied(run.adapter));
  const off = difference(start, await outputs(model, feeds));
  await run.done;
  return isOff || off < SINGLE ? [] : [`untrained, the adapter changes the output by ${off}`];
}

/** The adapter as it is now, of no known base: an optimised file has other weights. */
function copied({ config, tensors }: Adapter): Adapter {
  return new Adapter(config, new Map([...tensors].map(([name, each]) => [name, { ...each, data: each.data.slice() }])));
}

async function sameProblems(plain: Model, other: Model, adapter: Adapter, feeds: Feeds): Promise<string[]> {
  const { unused } = await other.place(copied(adapter));
  const lost = unused.filter((name) => !isForTraining(name));
  if (lost.length > 0)
    return [
      `optimised, ${lost.join(', ')} has no place among ${other
        .modules()
        .map((each) => each.path)
        .join(', ')}`,
    ];
  const base = difference(await outputs(other, feeds), await outputs(plain, feeds));
  const adapted = difference(await outputs(other, feeds, copied(adapter)), await outputs(plain, feeds, adapter));
  return [
    ...(base < SINGLE ? [] : [`optimised, the base differs by ${base}`]),
    ...(adapted < SINGLE ? [] : [`optimised, the adapter's output differs by ${adapted}`]),
  ];
}

async function outputs(model: Model, feeds: Feeds, adapter?: Adapter): Promise<Tensor | undefined> {
  const adapters = adapter ? { adapter } : {};
  const session = await model.session({ adapters, threads: 1, provider: 'cpu', worker: false });
  return released(session, async () => (await session.run(feeds, { adapter: adapter ? 'adapter' : null }))['logits']);
}
