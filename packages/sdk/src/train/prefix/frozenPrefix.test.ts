/** @file Training on kept values of the frozen prefix is training. */

import path from 'node:path';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, describe, expect, it } from 'vitest';
import { caseFolders } from '../../../../../test/support/caseFolders.ts';
import { modelFrom } from '../../../../../test/support/graphs.ts';
import { readSafetensors } from '../../adapter/formats/safetensors.ts';
import { scalingOf } from '../../adapter/formats/scaling.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import { sessionModel } from '../../ops/session/sessionModel.ts';
import type { ModelProto, TensorProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { Runtime } from '../../runtime/session.ts';
import { openModel } from '../../model/openModel.ts';
import type { Model } from '../../model/loaded/model.ts';
import type { LoraOptions } from '../../model/planning/loraOptions.ts';
import { planAdapter } from '../../model/planning/planAdapter.ts';
import { inferNode } from '../../ops/infer.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import { Random } from '../../runtime/random.ts';
import { arrayOf, type Feeds, float32, stack, type Tensor } from '../../runtime/tensor.ts';
import { ParameterSet } from '../parameters.ts';
import { ShuffledBatches } from '../sampling/sampler.ts';
import { Trainer } from '../trainer.ts';
import type { LossFragment } from '../graph/addLoss.ts';
import { buildTrainingGraph, type TrainingGraphRequest } from '../graph/trainingGraph.ts';
import { PrefixCache } from './prefixCache.ts';
import type { PrefixOptions } from './split.ts';
import { MemoryRows } from './rowStore.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-prefix-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
const EXAMPLES = 7;
const BATCH = 3;
const ROOM = { bytes: 1 << 30, examples: EXAMPLES };

/** A partly trained model, with rows to feed it. */
interface Subject {
  readonly name: string;
  readonly base: ModelProto;
  readonly plan: TrainingGraphRequest['plan'];
  readonly loss: LossFragment;
  readonly scaling: (path: string) => number;
  readonly example: (index: number) => Feeds;
}

/** The mean square of all float outputs: no labels, so that it fits every model. */
const meanSquare: LossFragment = (g, outputs) =>
  Object.values(outputs)
    .filter(({ type }) => type === 'float32')
    .map((output) => g.ReduceMean(g.Mul(output, output), output.shape!.map((_, i) => i), false))
    .reduce((a, b) => g.Add(a, b)); // prettier-ignore

/** The last part of a case's layers, on rows like those of the case. */
async function caseSubject(name: string, folder: string, part: number): Promise<Subject> {
  const model: Model = await openModel(path.join(folder, 'model.onnx'));
  const { tensors } = await readSafetensors(path.join(folder, 'inputs.safetensors'));
  const paths = model.sites().flatMap(({ kind, path }) => (kind === 'linear' ? [path] : []));
  const targetModules = [...new Set(paths.slice(Math.floor(paths.length * (1 - part))))];
  const { plan, config } = planAdapter(model, { r: 4, loraAlpha: 8, targetModules });
  const feeds = Object.fromEntries(Object.keys(model.inputs).map((input) => [input, tensors.get(input)!]));
  return {
    name,
    base: model.onnx.model,
    plan,
    loss: meanSquare,
    scaling: (module) => scalingOf(config, module).scaling,
    example: (index) =>
      Object.fromEntries(Object.entries(feeds).map(([input, value]) => [input, variant(value, index)])),
  };
}

/** A row of the case; of numbers a little different for each example, of ids those of one of its rows. */
function variant({ type, dims, data }: Tensor, index: number): Tensor {
  const size = data.length / dims[0]!;
  const row = index % dims[0]!;
  const values = data.slice(row * size, (row + 1) * size);
  const random = new Random(index);
  if (type === 'float32')
    (values as Float32Array).forEach((value, i) => (values[i] = value + random.uniform(-0.1, 0.1)));
  else if (type === 'int64' && index >= dims[0]!) values.reverse();
  return { type, dims: dims.slice(1), data: values };
}

function batchOf(subject: Subject, examples: readonly number[]): Feeds {
  const rows = examples.map((example) => subject.example(example));
  return Object.fromEntries(Object.keys(rows[0]!).map((name) => [name, stack(rows.map((row) => row[name]!))]));
}

function trainerOf(
  subject: Subject,
  prefix?: PrefixOptions,
  pieceRows?: number,
  runtime: Runtime = new OrtRuntime(),
): Trainer {
  const random = new Random(3);
  return new Trainer({
    base: subject.base,
    plan: subject.plan,
    loss: subject.loss,
    runtime,
    session: { provider: 'cpu', threads: 1 },
    parameters: (inputs) => ParameterSet.initial(inputs, random),
    name: subject.name,
    ...(prefix ? { prefix } : {}),
    ...(pieceRows ? { pieceRows: () => pieceRows, lossWeight: () => 1 } : {}),
  });
}

/** Losses of three epochs, and the adapter's numbers after them. */
async function learn(
  subject: Subject,
  trainer: Trainer,
  batchSize = BATCH,
): Promise<{ losses: number[]; end: number[] }> {
  const batches = new ShuffledBatches(EXAMPLES, batchSize, 1);
  const losses: number[] = [];
  try {
    for (let step = 0; step < (3 * EXAMPLES) / batchSize; step++) {
      const examples = batches.next().value;
      losses.push((await trainer.step(batchOf(subject, examples), {}, 1e-3, examples)).loss);
    }
    return {
      losses,
      end: [...trainer.parameters!.tensors().values()].flatMap(({ data }) => [...(data as Float32Array)]),
    };
  } finally {
    await trainer.release();
  }
}

function furthest(a: readonly number[], b: readonly number[]): number {
  const scale = Math.max(...a.map(Math.abs));
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / scale;
}

const wanted = [
  'vit-v4', 'vit-dynamo-v5', 'bert-nbits4-qdq', 'bert-tokencls-v5', 'wav2vec2-ctc-v5', 'whisper-seq2seq-v5', 'esm2-mlm-v5',
  'opt-v4', 'sam-decoder-v4', 'swin-v5',
]; // prettier-ignore

describe.each(caseFolders().filter(([name]) => wanted.includes(name)))('of %s', (name, caseFolder) => {
  it('losses are the same in every epoch', async () => {
    const subject = await caseSubject(name, caseFolder, 0.25);
    const plain = await learn(subject, trainerOf(subject));
    const trainer = trainerOf(subject, ROOM);
    const kept = await learn(subject, trainer);
    expect(trainer.prefix).toMatchObject({ kept: true, where: 'memory' });
    expect(furthest(plain.losses, kept.losses)).toBeLessThan(1e-5);
    // Adam divides by the size of a gradient, so that rounding in one near zero shows.
    expect(furthest(plain.end, kept.end)).toBeLessThan(2e-3);
  });

  it('values do not depend on what else is in the batch, nor on where', async () => {
    const rowsOf = await prefixOf(await caseSubject(name, caseFolder, 0.25));
    const [first, second, alone] = [await rowsOf([0, 1, 2]), await rowsOf([5, 2, 0]), await rowsOf([2])];
    expect([second.get(0), second.get(2), alone.get(2)]).toEqual([first.get(0), first.get(2), first.get(2)]);
    expect(new Set([...first.values(), second.get(5)]).size).toBe(4);
  });
});

const vit = caseFolders().find(([name]) => name === 'vit-v4')![1];

describe('values of a ViT', () => {
  it('are the same bits from a file, with room for a few examples only, and in pieces of a batch', async () => {
    const subject = await caseSubject('vit-v4', vit, 0.25);
    const memory = trainerOf(subject, ROOM);
    const { losses, end } = await learn(subject, memory);
    const { bytesPerExample } = memory.prefix as { bytesPerExample: number };
    const rows = path.join(folder, 'rows');
    const small = { bytes: 2.5 * bytesPerExample, examples: 1 };
    for (const [prefix, where] of [
      [{ ...ROOM, folder: rows }, 'file'],
      [small, 'memory'],
      [{ ...small, folder: rows }, 'file'],
    ] as const) {
      const trainer = trainerOf(subject, prefix);
      expect(await learn(subject, trainer)).toEqual({ losses, end });
      expect(trainer.prefix).toMatchObject({ kept: true, where, bytesPerExample });
    }
    expect(readdirSync(rows)).toEqual([]);
    const [whole, pieces] = [
      await learn(subject, trainerOf(subject, ROOM), 4),
      await learn(subject, trainerOf(subject, ROOM, 2), 4),
    ];
    expect(furthest(whole.losses, pieces.losses)).toBeLessThan(1e-6);
  });

  it('are computed once for each example', async () => {
    const subject = await caseSubject('vit-v4', vit, 0.25);
    const trainer = trainerOf(subject, ROOM);
    const examples = [4, 1, 6];
    const { loss } = await trainer.lossAndGradients(batchOf(subject, examples), {}, examples);
    // Nobody looks at the inputs again.
    const nothing = batchOf({ ...subject, example: (i) => zeros(subject.example(i)) }, examples);
    expect((await trainer.lossAndGradients(nothing, {}, examples)).loss).toBe(loss);
    expect((await trainer.lossAndGradients(nothing, {}, [4, 1, 5])).loss).not.toBe(loss);
    await trainer.release();
  });
});

function zeros(feeds: Feeds): Feeds {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { type, dims, data }]) => [
      name,
      { type, dims, data: new (arrayOf(type))(data.length) },
    ]),
  );
}

/** The prefix of a subject, with what it gives for these examples when nothing is kept yet: bytes of each example's row. */
async function prefixOf(subject: Subject) {
  const inputs = batchOf(subject, [0, 1, 2]);
  const { prefix } = buildTrainingGraph({ ...subject, inputs, targets: {}, prefix: ROOM });
  if (typeof prefix !== 'object') throw new Error(prefix);
  const { model, kept } = prefix;
  const open = () =>
    new OrtRuntime().createSession({ ...sessionModel(model), name: 'prefix' }, { provider: 'cpu', threads: 1 });
  const rowsOf = async (examples: readonly number[]): Promise<Map<number, string>> => {
    const store = new MemoryRows(ROOM.bytes);
    const cache = new PrefixCache({ open, kept, rows: 3, store, shapes: '', examples: EXAMPLES });
    const values = await cache.values(batchOf(subject, examples), examples);
    await cache.release();
    expect(store.bytes).toBe(examples.length * prefix.bytesPerExample);
    return new Map(examples.map((example, i) => [example, rowBytes(values, i)]));
  };
  return rowsOf;
}

function rowBytes(values: Feeds, row: number): string {
  return Object.values(values)
    .map(({ data, dims }) => {
      const size = data.byteLength / dims[0]!;
      return Buffer.from(data.buffer, data.byteOffset + row * size, size).toString('hex');
    })
    .join();
}

/** `[length, 256]`. */
function waves(seed: number, length: number): Tensor {
  return float32(
    Float32Array.from({ length: length * 256 }, (_, i) => Math.sin(seed + i)),
    [length, 256],
  );
}

/** fc2(between(fc1(before(x)))) of x `[batch, length, 256]`, with fc2 trained. */
async function twoLayers(
  { before, between }: Partial<Record<'before' | 'between', (g: GraphBuilder, value: Value) => Value>> = {},
  lora: LoraOptions = {},
): Promise<Subject> {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'n/' });
  const random = new Random(5);
  const weights: TensorProto[] = [];
  const layer = (name: string, value: Value, rows: number, columns: number): Value => {
    const data = Float32Array.from({ length: rows * columns }, () => random.uniform(-0.5, 0.5));
    weights.push(tensorProto(`${name}.weight`, float32(data, [rows, columns])));
    return g.MatMul(value, { name: `${name}.weight`, type: 'float32', shape: [rows, columns] });
  };
  const x: Value = { name: 'x', type: 'float32', shape: ['batch', 'length', 256] };
  const hidden = layer('fc1', before?.(g, x) ?? x, 256, 64);
  const y = layer('fc2', between?.(g, hidden) ?? hidden, 64, 8);
  const model = modelFrom(g, [x], [y]);
  model.graph!.initializer!.push(...weights);
  const file = path.join(folder, `${count++}.onnx`);
  writeOnnx(file, model);
  const opened = await openModel(file);
  const { plan, config } = planAdapter(opened, { r: 2, targetModules: ['fc2'], ...lora });
  return {
    name: 'two layers',
    base: opened.onnx.model,
    plan,
    loss: meanSquare,
    scaling: (module) => scalingOf(config, module).scaling,
    example: (index) => ({ x: waves(index, 5) }),
  }; // prettier-ignore
}

describe('what is not kept', () => {
  const lessMean = (g: GraphBuilder, value: Value): Value => g.Sub(value, g.ReduceMean(value, [0], true));

  it.each<[string, () => Promise<Subject>, RegExp]>([
    [
      'rows that influence each other',
      () => twoLayers({ before: lessMean }),
      /^rows of a batch may influence each other in ReduceMean "n\/ReduceMean_0"$/,
    ],
    [
      'what is little',
      () => twoLayers({}, { modulesToSave: ['fc1'] }),
      /^below the lowest trained layer lies only 0 % of the forward pass$/,
    ],
  ])('%s', async (_, make, reason) => {
    const subject = await make();
    const inputs = batchOf(subject, [0, 1, 2]);
    const { prefix } = buildTrainingGraph({ ...subject, inputs, targets: {}, prefix: ROOM });
    expect(prefix).toMatch(reason);
  });

  it('is computed again where only a later layer mixes rows', async () => {
    const subject = await twoLayers({ between: lessMean });
    const trainer = trainerOf(subject, ROOM);
    const kept = await learn(subject, trainer);
    expect(trainer.prefix).toMatchObject({ kept: true, nodes: 1, bytesPerExample: 5 * 64 * 4 });
    expect(kept.losses).toEqual((await learn(subject, trainerOf(subject))).losses);
  });

  it('is a batch with other rows than examples', async () => {
    const subject = await twoLayers();
    const trainer = trainerOf(subject, ROOM);
    const inputs = batchOf(subject, [0, 1, 2, 3]);
    const { loss } = await trainer.lossAndGradients(inputs, {}, [0, 1]);
    expect(trainer.prefix).toEqual({ kept: false, reason: 'a batch of 2 examples has 4 rows' });
    await trainer.release();
    const plain = trainerOf(subject);
    expect(loss).toBe((await plain.lossAndGradients(inputs, {})).loss);
    await plain.release();
  });

  it('is a large value that a small one gives', async () => {
    // One number per row, expanded to the size of the hidden values.
    const spread = (g: GraphBuilder, value: Value): Value =>
      g.Relu(g.Add(value, g.Expand(g.ReduceMean(value, [1, 2], true), g.Shape(value))));
    const subject = await twoLayers({ between: (g, value) => g.Mul(spread(g, value), spread(g, value)) });
    const inputs = batchOf(subject, [0, 1, 2]);
    const { prefix } = buildTrainingGraph({ ...subject, inputs, targets: {}, prefix: { bytes: 1, examples: 1 } });
    expect(prefix).toMatchObject({ bytesPerExample: 5 * 64 * 4 });
  });
});

it('batches of several lengths each have their own values', async () => {
  const subject = await twoLayers();
  const ofLength = (length: number): Subject => ({ ...subject, example: (index) => ({ x: waves(index, length) }) });
  const lengths = [ofLength(5), ofLength(3)];
  const losses = async (prefix?: PrefixOptions): Promise<number[]> => {
    const trainer = trainerOf(subject, prefix);
    const found = [];
    for (let step = 0; step < 8; step++) {
      const examples = [step % 3, (step + 1) % 3];
      const { loss } = await trainer.step(batchOf(lengths[step % 2]!, examples), {}, 1e-3, examples);
      found.push(loss);
    }
    await trainer.release();
    return found;
  };
  const plain = await losses();
  expect(new Set(plain).size).toBe(8);
  expect(await losses(ROOM)).toEqual(plain);
});

it('a part that the runtime cannot load is trained as it was', async () => {
  const subject = await twoLayers();
  const runtime = new OrtRuntime();
  let refused = 0;
  const picky: Runtime = {
    createSession: (source, options) => {
      if (options?.purpose === 'training') return runtime.createSession(source, options);
      refused++;
      return Promise.reject(new OnnxLoraError('RUNTIME_FAILED', 'No.'));
    },
  };
  const trainer = trainerOf(subject, ROOM, undefined, picky);
  const { losses } = await learn(subject, trainer);
  expect(losses).toEqual((await learn(subject, trainerOf(subject))).losses);
  expect(trainer.prefix).toEqual({ kept: false, reason: 'the runtime cannot load what lies below: No.' });
  expect(refused).toBe(1);
});
