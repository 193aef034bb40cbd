/** @file Training steps on published architectures, beside PEFT on torch: what each takes in time and memory. */

import { type Feeds, float32, int64, type Model, openModel, type PrecisionName, type Provider } from '@onnx-lora/sdk';
import { crossEntropy, ctc, type LossFragment } from '@onnx-lora/sdk/tasks';
import { buildPlugin } from '@onnx-lora/build';
import { openvinoPlugin } from '@onnx-lora/openvino';
import { textPlugin } from '@onnx-lora/text';
import {
  isProductPrecision,
  measurePrecision,
  ParameterSet,
  planAdapter,
  sessionIn,
  Trainer,
  type TrainerRequest,
} from '@onnx-lora/sdk/core';
import { Random } from '@onnx-lora/sdk/data';
import { gpuMb } from './gpu.ts';
import { peakMb } from './largeModel.ts';

/** Which layers are adapted: queries and values, all linear ones, or queries and values of the last quarter of layers. */
export type TrainingTargets = 'q,v' | 'all' | 'top q,v';

/** A model that the Python script can export. */
export type ModelName =
  'vit-tiny' | 'vit-s' | 'vit-b' | 'esm2-8m' | 'esm2-35m' | 'whisper-tiny' | 'wav2vec2-base' | 'sam-b' | LargeName;

/** Models from 100 million parameters. */
type LargeName = 'bert-base' | 'esm2-150m' | 'vit-l' | 'whisper-small' | 'qwen2-0.5b' | 'qwen2-0.5b-bf16' | 'llama-1b';

/** One figure to find. */
export interface TrainingCase {
  readonly model: ModelName;
  readonly targets: TrainingTargets;
  /** Precision of the base; float32 by default. */
  readonly precision?: PrecisionName;
  /** Where it runs; `cpu` by default. */
  readonly provider?: Provider;
  /** Precisions to measure, in place of those of the whole comparison. */
  readonly precisions?: readonly PrecisionName[];
}

/** A model so small that a software driver computes it in seconds, to try the benchmark itself. */
export const quickTrainingCases: readonly TrainingCase[] = [{ model: 'vit-tiny', targets: 'q,v' }];

/** Measured cases, in the order of the table. */
export const trainingCases: readonly TrainingCase[] = [
  { model: 'vit-s', targets: 'q,v' },
  { model: 'vit-s', targets: 'top q,v' },
  { model: 'vit-b', targets: 'q,v' },
  { model: 'vit-b', targets: 'all' },
  { model: 'esm2-8m', targets: 'q,v' },
  { model: 'esm2-8m', targets: 'all' },
  { model: 'esm2-35m', targets: 'q,v' },
  { model: 'whisper-tiny', targets: 'q,v' },
  { model: 'whisper-tiny', targets: 'all' },
  { model: 'wav2vec2-base', targets: 'q,v' },
  { model: 'wav2vec2-base', targets: 'top q,v' },
  { model: 'sam-b', targets: 'q,v' },
];

/** Models from 100 million parameters, each with the precisions that its size asks for. */
export const largeCases: readonly TrainingCase[] = [
  { model: 'bert-base', targets: 'q,v' },
  { model: 'esm2-150m', targets: 'q,v' },
  { model: 'vit-l', targets: 'q,v' },
  { model: 'whisper-small', targets: 'q,v' },
  { model: 'qwen2-0.5b', targets: 'q,v', precisions: ['float32', 'int4', 'nf4'] },
  { model: 'qwen2-0.5b-bf16', targets: 'q,v' },
  { model: 'llama-1b', targets: 'q,v', precisions: ['int4', 'nf4'] },
];

/** Language models are written as checkpoints, whose graphs the build package makes. */
export const isCheckpoint = (model: ModelName): boolean => /^(qwen2|llama)/.test(model);

interface Subject {
  readonly batch: (random: Random) => { readonly inputs: Feeds; readonly targets: Feeds };
  readonly loss: LossFragment;
  /** Whether a batch may be computed in pieces. */
  readonly isMean: boolean;
  readonly layers: number;
}

const classified: LossFragment = (g, { output, logits = output }, { labels }) => crossEntropy(g, logits!, labels!);

const vit = (batch = 8, image = 224, layers = 12): Subject => ({
  batch: (random) => ({
    inputs: { pixel_values: floats(random, [batch, 3, image, image]) },
    targets: { labels: numbers(random, [batch], 0, 100) },
  }),
  loss: classified,
  isMean: true,
  layers,
});

/** Inputs of a text model: these numbers, none of them padding. */
export const tokens = (ids: Feeds[string]): Feeds => ({
  input_ids: ids,
  attention_mask: int64(new Array<number>(ids.data.length).fill(1), ids.dims),
});

/** Inputs of one text of a language model. */
export const text = (ids: Feeds[string]): Feeds => ({
  ...tokens(ids),
  position_ids: int64([...ids.data.keys()], ids.dims),
});

const esm = (layers: number, batch = 8): Subject => ({
  batch: (random) => {
    const ids = numbers(random, [batch, 256], 4, 24);
    return { inputs: tokens(ids), targets: { labels: ids } };
  },
  loss: classified,
  isMean: true,
  layers,
});

const whisper = (batch: number, layers: number): Subject => ({
  batch: (random) => {
    const labels = numbers(random, [batch, 48], 0, 50000);
    return {
      inputs: { input_features: floats(random, [batch, 80, 3000]), decoder_input_ids: labels },
      targets: { labels },
    };
  },
  loss: classified,
  isMean: true,
  layers,
});

/** Each token predicts the next. */
const causal = (positions: number, vocabulary: number, layers: number): Subject => ({
  batch: (random) => {
    const ids = numbers(random, [1, positions], 0, vocabulary);
    const next = int64([...(ids.data as BigInt64Array).slice(1), -100n].map(Number), ids.dims);
    return { inputs: text(ids), targets: { labels: next } };
  },
  loss: classified,
  isMean: true,
  layers,
});

const subjects: Readonly<Record<ModelName, Subject>> = {
  'vit-tiny': vit(2, 32, 2),
  'vit-s': vit(),
  'vit-b': vit(),
  'esm2-8m': esm(6),
  'esm2-35m': esm(12),
  'bert-base': {
    batch: (random) => ({
      inputs: tokens(numbers(random, [8, 128], 1000, 30000)),
      targets: { labels: numbers(random, [8], 0, 100) },
    }),
    loss: classified,
    isMean: true,
    layers: 12,
  },
  'esm2-150m': esm(30, 2),
  'vit-l': vit(2, 224, 24),
  'whisper-small': whisper(1, 12),
  'qwen2-0.5b': causal(128, 151_936, 24),
  'qwen2-0.5b-bf16': causal(128, 151_936, 24),
  'llama-1b': causal(512, 128_256, 16),
  'whisper-tiny': whisper(4, 4),
  'wav2vec2-base': {
    batch: (random) => ({
      inputs: { input_values: floats(random, [4, 5 * 16000]) },
      targets: { labels: numbers(random, [4, 30], 1, 31) },
    }),
    loss: (g, { output }, { labels }) => ctc(g, output!, labels!, { zeroInfinity: true }),
    isMean: true,
    layers: 12,
  },
  'sam-b': {
    batch: (random) => ({ inputs: { pixel_values: floats(random, [1, 3, 1024, 1024]) }, targets: {} }),
    loss: (g, { output }) => g.ReduceMean(g.Mul(output!, output!), [0, 1, 2, 3], false),
    isMean: false,
    layers: 12,
  },
};

/** Results of one process. */
export interface TrainingFigures {
  /** Milliseconds of each step that counts. */
  readonly stepMs: readonly number[];
  /** Milliseconds from the start of the process to the end of its first step. */
  readonly firstMs: number;
  /** Largest resident memory of the process. */
  readonly peakMb: number;
  /** Memory that it took on a GPU; absent on the CPU, and without nvidia-smi. */
  readonly gpuMb?: number;
}

/** Trains for some steps. */
export async function timeSteps(
  file: string,
  { model: name, targets, precision = 'float32', provider = 'cpu' }: TrainingCase,
  steps: number,
): Promise<TrainingFigures> {
  const before = provider === 'cpu' ? undefined : await gpuMb();
  const model = await openModel(file, { precision, plugins: [openvinoPlugin, buildPlugin, textPlugin] });
  const subject = subjects[name];
  const { plan } = planAdapter(model, { r: 8, loraAlpha: 16, targetModules: modulesOf(model, subject, targets) });
  const random = new Random(1);
  const { inputs, targets: labels } = subject.batch(random);
  const rows = Object.values(inputs)[0]!.dims[0]!;
  const examples = targets === 'top q,v' ? Array.from({ length: rows }, (_, i) => i) : undefined;
  const request = {
    base: model.onnx.model,
    plan,
    loss: subject.loss,
    ...(subject.isMean ? { lossWeight: () => 1 } : {}),
    ...(examples ? { prefix: { bytes: 1 << 30, examples: rows } } : {}),
    runtime: model.runtime,
    session: sessionIn(model.precision, { provider, threads: 2 }),
    parameters: (all) => ParameterSet.initial(all, random),
    name,
  } satisfies TrainerRequest;
  const measured =
    model.precision &&
    isProductPrecision(model.precision) &&
    (await measurePrecision({ ...request, precision: model.precision }, { inputs, targets: labels }));
  const { precision: used, lossScale: initial } = measured || {};
  const scaled = initial === undefined ? {} : { lossScaling: { initial } };
  const trainer = new Trainer({ ...request, ...scaled, precision: used });
  await trainer.step(inputs, labels, 1e-4, examples);
  // Counted from the start of the process.
  const firstMs = performance.now();
  const stepMs: number[] = [];
  for (let i = 0; i < steps; i++) {
    const start = performance.now();
    await trainer.step(inputs, labels, 1e-4, examples);
    stepMs.push(performance.now() - start);
  }
  const after = before === undefined ? undefined : await gpuMb();
  await trainer.release();
  const onGpu = before === undefined || after === undefined ? {} : { gpuMb: after - before };
  return { stepMs, firstMs, peakMb: peakMb(), ...onGpu };
}

const attention = new Set(['query', 'value', 'q_proj', 'v_proj', 'qkv']);
const notAdapted = /(^|\.)(classifier|lm_head|proj_out|feature_projection|masked_spec_embed|neck)\b/;

function modulesOf(model: Model, { layers }: Subject, targets: TrainingTargets): string[] {
  const linear = model.sites().filter(({ kind, path }) => kind === 'linear' && !notAdapted.test(path));
  const wanted = targets === 'all' ? linear : linear.filter(({ path }) => attention.has(path.split('.').at(-1)!));
  const first = targets === 'top q,v' ? layers - layers / 4 : 0;
  return wanted.map(({ path }) => path).filter((path) => Number(/\.(\d+)\./.exec(path)?.[1] ?? 0) >= first);
}

/** Normally distributed numbers. */
export function floats(random: Random, dims: readonly number[]): Feeds[string] {
  return float32(
    new Float32Array(dims.reduce((a, b) => a * b)).map(() => random.normal()),
    dims,
  );
}

/** Whole numbers from `low` to `high − 1`. */
export function numbers(random: Random, dims: readonly number[], low: number, high: number): Feeds[string] {
  const size = dims.reduce((a, b) => a * b);
  return int64(Array.from({ length: size }, () => low + random.index(high - low)), dims); // prettier-ignore
}
