/** @file The WebGPU provider computes what the CPU provider computes: forward, mixed rows, merged, gradients, training. */

import {
  Adapter,
  type AdapterChoice,
  type Feeds,
  float32,
  int64,
  merge,
  type Model,
  OnnxLoraError,
  openModel,
  type Provider,
  type Tensor,
  train,
} from '@onnx-lora/sdk';
import { crossEntropy, type Task, type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { inferNode, writeOnnx } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { ParameterSet, planAdapter, tensorName, Trainer } from '@onnx-lora/sdk/core';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { vitModel } from './fixtures/vit.ts';
import { modelFrom } from './support/graphs.ts';

const [side, classes, batchSize] = [16, 10, 4];

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-providers-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const file = path.join(folder, 'vit.onnx');
// Small: a software driver takes milliseconds for each node.
writeOnnx(file, vitModel({ hidden: 32, layers: 2, heads: 2, image: side, patch: 4, classes }));
const model = await openModel(file);

/** Undefined when a WebGPU session can be made here. */
const whyNoWebgpu = await (async (): Promise<string | undefined> => {
  try {
    await (await model.session({ provider: 'webgpu' })).release();
    return undefined;
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'PROVIDER_UNAVAILABLE') return error.message;
    throw error;
  }
})();
if (whyNoWebgpu !== undefined) console.warn(`The WebGPU tests are skipped. ${whyNoWebgpu}`);

const random = new Random(7);
const examples = Array.from({ length: 3 * batchSize }, (_, i) => ({
  pixels: new Float32Array(3 * side * side).map(() => random.uniform(-1, 1)),
  label: i % classes,
}));

function batch(rows: readonly (typeof examples)[number][]): { inputs: Feeds; targets: Feeds } {
  const pixels = float32(
    rows.flatMap((row) => [...row.pixels]),
    [rows.length, 3, side, side],
  );
  const labels = int64(
    rows.map(({ label }) => label),
    [rows.length],
  );
  return { inputs: { pixel_values: pixels }, targets: { labels } };
}
const first = batch(examples.slice(0, batchSize));

const noise: Task = {
  name: 'noise',
  prepare: () =>
    Promise.resolve({
      train: { length: examples.length, get: (index) => Promise.resolve(examples[index]) },
      collate: (rows) => Promise.resolve(batch(rows as typeof examples)),
      loss: (g, outputs, targets) => crossEntropy(g, outputs['logits']!, targets['labels']!),
      metrics: () => ({ update: () => undefined, result: () => ({}) }),
    }),
};

/** The largest difference, in parts of the largest magnitude. */
function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let [largest, worst] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]!));
    // A value that is not a number must not pass.
    const gap = Math.abs(actual[i]! - expected[i]!);
    worst = Number.isNaN(gap) ? Infinity : Math.max(worst, gap);
  }
  return largest === 0 ? worst : worst / largest;
}

function floats(tensor: Tensor | undefined): Float32Array {
  return tensor!.data as Float32Array;
}

interface Trained {
  readonly losses: number[];
  readonly adapter: Adapter;
}

async function trainOn(provider: Provider, seed: number): Promise<Trained> {
  const lora = { r: 4, targetModules: 'all-linear', modulesToSave: ['classifier'] };
  const run = await train(model, { task: noise, lora, steps: 5, batchSize, lr: 0.02, seed, provider });
  expect(run.provider).toBe(provider);
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  return { losses, adapter: run.adapter };
}

async function logits(
  subject: Model,
  provider: Provider,
  adapters: Record<string, Adapter> = {},
  adapter: AdapterChoice = null,
): Promise<Float32Array> {
  const session = await subject.session({ adapters, provider });
  try {
    return floats((await session.run(first.inputs, { adapter }))['logits']);
  } finally {
    await session.release();
  }
}

describe.skipIf(whyNoWebgpu !== undefined)('a training on WebGPU', () => {
  it('says which operators are left to the CPU, and why', async () => {
    const run = await train(model, {
      task: noise,
      lora: { r: 2, targetModules: 'all-linear' },
      steps: 2,
      batchSize,
      provider: 'webgpu',
    });
    const { provider, nodes, fallenBack, verified } = await run.providerReport();
    await run.done;
    expect(provider).toBe('webgpu');
    expect(nodes['webgpu']).toBeGreaterThan(100);
    // Labels are whole numbers of 64 bits, which stay on the CPU until they are 32.
    expect(new Set(fallenBack.map(({ op, reason }) => `${op}: ${reason}`))).toEqual(
      new Set(['Reshape', 'Cast', 'Less', 'Where'].map((op) => `${op}: shape-arithmetic`)),
    );
    expect(verified!.maxDifference).toBeLessThan(1e-3);
    await expect(run.providerReport()).rejects.toThrow('The run has ended');
  });
});

describe.skipIf(whyNoWebgpu !== undefined)('WebGPU agrees with the CPU', () => {
  let cpu: Trained;
  let webgpu: Trained;
  let adapters: Record<string, Adapter>;
  beforeAll(async () => {
    cpu = await trainOn('cpu', 1);
    webgpu = await trainOn('webgpu', 1);
    adapters = { one: cpu.adapter, two: (await trainOn('cpu', 2)).adapter };
  }, 120_000);

  it('in the loss of each step', () => {
    expect(cpu.losses).toHaveLength(5);
    expect(difference(webgpu.losses, cpu.losses)).toBeLessThan(1e-3);
    // It moves by far more than the providers may differ.
    expect(Math.max(...cpu.losses) - Math.min(...cpu.losses)).toBeGreaterThan(0.1);
  });

  it('in the trained adapter', () => {
    expect([...webgpu.adapter.tensors.keys()]).toEqual([...cpu.adapter.tensors.keys()]);
    for (const [name, tensor] of cpu.adapter.tensors)
      expect(difference(floats(webgpu.adapter.tensors.get(name)), floats(tensor)), name).toBeLessThan(1e-3);
  });

  it.each<[string, AdapterChoice]>([
    ['the base, between adapters', null],
    ['an adapter', 'one'],
    ['rows with different adapters', ['one', null, 'two', 'one']],
  ])('in the outputs of %s', async (_, choice) => {
    const expected = await logits(model, 'cpu', adapters, choice);
    expect(difference(await logits(model, 'webgpu', adapters, choice), expected)).toBeLessThan(1e-3);
    if (choice !== null) expect(difference(expected, await logits(model, 'cpu'))).toBeGreaterThan(0.1);
  });

  it('in the gradients', async () => {
    const [expected, actual] = [await gradients('cpu'), await gradients('webgpu')];
    expect(actual.loss).toBeCloseTo(expected.loss, 4);
    expect([...actual.gradients.keys()]).toEqual([...expected.gradients.keys()]);
    for (const [name, gradient] of expected.gradients) {
      expect(
        gradient.some((each) => each !== 0),
        name,
      ).toBe(true);
      expect(difference(actual.gradients.get(name)!, gradient), name).toBeLessThan(1e-3);
    }
  });

  it('in the outputs of the merged model', async () => {
    const merged = path.join(folder, 'merged.onnx');
    await merge(model, cpu.adapter, merged);
    const expected = await logits(model, 'cpu', adapters, 'one');
    expect(difference(await logits(await openModel(merged), 'webgpu'), expected)).toBeLessThan(1e-3);
  });
});

/** Gradients with A and B both random, so that neither's is zero. */
async function gradients(provider: Provider): ReturnType<Trainer['lossAndGradients']> {
  const { plan } = planAdapter(model, { r: 4, targetModules: 'all-linear' });
  const seeded = new Random(3);
  const trainer = new Trainer({
    base: model.onnx.model,
    plan,
    loss: (g, outputs, targets) => crossEntropy(g, outputs['logits']!, targets['labels']!),
    runtime: model.runtime,
    session: { provider },
    parameters: (inputs) => {
      const set = ParameterSet.initial(inputs, seeded);
      for (const { value } of set.all) for (let i = 0; i < value.length; i++) value[i] = seeded.uniform(-0.05, 0.05);
      set.refresh();
      return set;
    },
    name: model.name,
  });
  try {
    return await trainer.lossAndGradients(first.inputs, first.targets);
  } finally {
    await trainer.release();
  }
}

/** An adapter of all linear layers with values that are not zero. */
function randomAdapter(seed: number): Adapter {
  const { plan, config } = planAdapter(model, { r: 4, targetModules: 'all-linear' });
  const seeded = new Random(seed);
  const values = (dims: readonly [number, number]): Tensor =>
    float32(
      new Float32Array(dims[0] * dims[1]).map(() => seeded.uniform(-0.2, 0.2)),
      dims,
    );
  const tensors = plan.flatMap(({ site }): [string, Tensor][] => {
    if (!site) return [];
    const [out, width] = site.weightShape as [number, number];
    return [
      [tensorName(site.path, 'lora_A'), values([4, width])],
      [tensorName(site.path, 'lora_B'), values([out, 4])],
    ];
  });
  return new Adapter(config, new Map(tensors));
}

describe.skipIf(whyNoWebgpu !== undefined)('a report of WebGPU', () => {
  it('says that it runs a ViT but for shapes, and how close to the CPU', async () => {
    const adapters = { one: randomAdapter(1), two: randomAdapter(2) };
    const session = await model.session({ provider: 'webgpu', strict: true, adapters });
    const adapter = ['one', 'two', null, 'one'];
    const report = await session.providerReport(first.inputs, { adapter });
    expect(report.provider).toBe('webgpu');
    expect(report.nodes['webgpu']).toBeGreaterThan(50);
    expect(new Set(report.fallenBack.map(({ reason }) => reason))).toEqual(new Set(['shape-arithmetic']));
    expect(report.verified!.maxDifference).toBeLessThan(1e-3);
    // Strict: it would have failed otherwise.
    const outputs = await session.run(first.inputs, { adapter });
    await session.release();
    expect(difference(floats(outputs['logits']), await logits(model, 'cpu', adapters, adapter))).toBeLessThan(1e-3);
  });

  it('names operators without a kernel, with which strict sessions fail', async () => {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'c/' });
    const x: Value = { name: 'x', type: 'float32', shape: ['n'] };
    const signs = path.join(folder, 'signs.onnx');
    writeOnnx(signs, modelFrom(g, [x], [g.Mul(g.emit('Sign', [g.Add(x, 1)]), 2)]));
    const signed = await openModel(signs);
    const feeds = { x: float32([-3, 5], [2]) };
    const session = await signed.session({ provider: 'webgpu' });
    const { nodes, fallenBack } = await session.providerReport(feeds);
    await session.release();
    expect(nodes).toEqual({ webgpu: 2, cpu: 1 });
    expect(fallenBack).toMatchObject([{ op: 'Sign', reason: 'no-kernel' }]);
    const strict = await signed.session({ provider: 'webgpu', strict: true });
    await expect(strict.run(feeds)).rejects.toThrow(
      /no kernel for 1 operators of ".*signs\.onnx", which ran on the CPU: Sign/,
    );
    await strict.release();
  });
});

describe.skipIf(whyNoWebgpu !== undefined)('adapters on WebGPU', () => {
  it.each([true, false])('come and go while a session runs; with worker: %s', async (worker) => {
    const adapters = { one: randomAdapter(1), two: randomAdapter(2) };
    const expected = {
      one: await logits(model, 'cpu', adapters, 'one'),
      two: await logits(model, 'cpu', adapters, 'two'),
    };
    const session = await model.session({ provider: 'webgpu', worker, targetModules: 'all-linear' });
    const run = async (adapter: AdapterChoice): Promise<Float32Array> =>
      floats((await session.run(first.inputs, { adapter }))['logits']);
    const base = await run(null);
    for (let round = 0; round < 3; round++) {
      await session.add('one', adapters.one);
      expect(difference(await run('one'), expected.one)).toBeLessThan(1e-3);
      const asked = run('one');
      await session.replace('one', adapters.two);
      expect(difference(await run('one'), expected.two)).toBeLessThan(1e-3);
      // It reads the tensors that were there when it was asked for.
      expect(difference(await asked, expected.one)).toBeLessThan(1e-3);
      expect(session.remove('one')).toBe(true);
    }
    expect(await run(null)).toEqual(base);
    await session.release();
  });
});

describe.skipIf(whyNoWebgpu !== undefined)('WebGPU failures', () => {
  it('a graph that is none is told as such, not as a missing provider', async () => {
    const source = { bytes: Uint8Array.of(1, 2, 3), name: 'broken.onnx' };
    await expect(model.runtime.createSession(source, { provider: 'webgpu' })).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
    });
  });
});
