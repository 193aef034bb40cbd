/** @file Adapters of convolutions and embeddings, from training to serving, on small models. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type Feeds,
  float32,
  int64,
  loadAdapter,
  type LoraOptions,
  merge,
  type Model,
  openModel,
  previewLora,
  type Tensor,
  train,
} from '@onnx-lora/sdk';
import { crossEntropy, type Task } from '@onnx-lora/sdk/tasks';
import { type ModelProto, scalingOf, writeOnnx } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { checkGradients } from '@onnx-lora/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { convModel, convNet, recurrentModel, tokenModel, tokenNet, upModel } from './fixtures/smallNets.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-kinds-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const random = new Random(7);
const rows = 4;
const pixels = float32(
  new Float32Array(rows * convNet.channels * convNet.side ** 2).map(() => random.uniform(-1, 1)),
  [rows, convNet.channels, convNet.side, convNet.side],
);
// A token that occurs several times, and the last of the table.
const ids = int64([1, 1, 4, 3, 0, 10, 5, 5, 5, 2, 7, 1], [rows, 3]);

interface Net {
  readonly model: Model;
  readonly feeds: Feeds;
  readonly output: string;
  readonly task: Task<number>;
}

async function net(name: string, proto: ModelProto, feeds: Feeds, classes: number): Promise<Net> {
  const file = path.join(folder, `${name}.onnx`);
  writeOnnx(file, proto);
  const output = proto.graph!.output![0]!.name!;
  const labels = int64(
    Array.from({ length: rows }, (_, i) => i % classes),
    [rows],
  );
  const task: Task<number> = {
    name: 'memorize',
    prepare: () =>
      Promise.resolve({
        train: { length: rows, get: (i: number) => Promise.resolve(i) },
        collate: () => Promise.resolve({ inputs: feeds, targets: { labels } }),
        loss: (g, outputs, targets) => crossEntropy(g, outputs[output]!, targets['labels']!),
        metrics: () => ({ update: () => undefined, result: () => ({}) }),
      }),
  };
  return { model: await openModel(file), feeds, output, task };
}

const nets = {
  conv: await net('conv', convModel(), { x: pixels }, convNet.classes),
  up: await net('up', upModel(), { x: pixels }, convNet.classes),
  recurrent: await net('recurrent', recurrentModel(), { x: pixels }, convNet.classes),
  tokens: await net('tokens', tokenModel(), { ids }, tokenNet.vocabulary),
  'tokens before opset 16': await net('tokens13', tokenModel(13), { ids }, tokenNet.vocabulary),
};
const settings = { steps: 8, batchSize: rows, lr: 2e-2, provider: 'cpu' } as const;

const values = ({ data }: Tensor): number[] => Array.from(data as Float32Array);
const difference = (a: Tensor, b: Tensor): number =>
  Math.max(...values(a).map((value, i) => Math.abs(value - values(b)[i]!)));

const recurrentWeights = [0, 1].flatMap((layer) =>
  ['', '_reverse'].flatMap((suffix) => ['ih', 'hh'].map((kind) => `lstm.weight_${kind}_l${layer}${suffix}`)),
);
const kinds: readonly (readonly [what: string, on: keyof typeof nets, lora: LoraOptions, beside: readonly string[]])[] =
  [
    ['a strided convolution', 'conv', { r: 2, targetModules: ['stem'] }, []],
    ['a dilated convolution of one dimension', 'conv', { r: 3, loraAlpha: 9, targetModules: ['wide'] }, []],
    ['convolutions with DoRA', 'conv', { r: 2, targetModules: ['stem', 'wide', 'head'], useDora: true }, []],
    ['a grouped convolution', 'conv', { r: 4, targetModules: ['grouped', 'head'] }, ['grouped']],
    ['transposed convolutions', 'up', { r: 4, targetModules: ['up', 'head'] }, []],
    ['a grouped transposed convolution', 'up', { r: 4, targetModules: ['split'] }, ['split']],
    [
      'a transposed convolution that starts orthogonal',
      'up',
      { r: 2, targetModules: ['up'], initLoraWeights: 'orthogonal' },
      [],
    ],
    [
      'one weight of an LSTM',
      'recurrent',
      { r: 2, targetModules: [], targetParameters: ['lstm.weight_hh_l1_reverse'] },
      [],
    ],
    [
      'all weights of an LSTM and a layer behind',
      'recurrent',
      { r: 3, targetModules: ['head'], targetParameters: recurrentWeights },
      [],
    ],
    ['an embedding', 'tokens', { r: 2, targetModules: ['tokens'] }, []],
    ['an embedding with DoRA', 'tokens', { r: 2, targetModules: ['tokens', 'mix'], useDora: true }, []],
    ['an embedding in an older opset', 'tokens before opset 16', { r: 2, targetModules: ['tokens'] }, []],
  ];

describe.each(kinds)('%s', (_, on, lora, beside) => {
  const { model, feeds, output, task } = nets[on];

  it('starts as the base, learns, and is the same merged, saved and loaded', async () => {
    const run = await train(model, { task, lora, ...settings });
    const fresh = await model.session({ adapters: { fresh: run.adapter }, provider: 'cpu' });
    const base = (await fresh.run(feeds))[output]!;
    expect(difference((await fresh.run(feeds, { adapter: 'fresh' }))[output]!, base)).toBeLessThan(1e-5);
    await fresh.release();
    const size = [...run.adapter.tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
    expect(previewLora(model, lora).trainableParameters).toBe(size);

    const losses: number[] = [];
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    expect(losses.at(-1)).toBeLessThan(losses[0]! - 1e-3);
    const { adapter } = await run.done;
    const saved = path.join(folder, 'saved');
    await adapter.save(saved, { overwrite: true });
    const loaded = await loadAdapter(saved);
    expect(loaded.tensors).toEqual(adapter.tensors);

    const bare = await model.session({ provider: 'cpu' });
    const untouched = (await bare.run(feeds))[output]!;
    await bare.release();
    const live = await model.session({ adapters: { loaded }, provider: 'cpu' });
    const unmerged = (await live.run(feeds, { adapter: 'loaded' }))[output]!;
    expect(values((await live.run(feeds))[output]!)).toEqual(values(untouched));
    await live.release();
    expect(difference(unmerged, base)).toBeGreaterThan(1e-2);

    const plain = path.join(folder, 'merged.onnx');
    expect((await merge(model, loaded, plain, { overwrite: true })).beside).toEqual(beside);
    const merged = await (await openModel(plain)).session({ provider: 'cpu' });
    expect(difference((await merged.run(feeds))[output]!, unmerged)).toBeLessThan(1e-4);
    await merged.release();
  });
});

it.each([
  ['conv', ['stem', 'head']],
  ['tokens', ['tokens', 'mix']],
] as const)('rows of one batch have their own adapters: %s', async (on, targetModules) => {
  const { model, feeds, task, output } = nets[on];
  const adapterOf = async (targets: readonly string[]): Promise<Awaited<ReturnType<typeof loadAdapter>>> =>
    (await (await train(model, { task, lora: { r: 2, targetModules: targets }, ...settings })).done).adapter;
  const adapters = { both: await adapterOf(targetModules), linear: await adapterOf(targetModules.slice(1)) };
  const session = await model.session({ adapters, provider: 'cpu' });
  const alone = async (adapter: string | null): Promise<number[]> =>
    values((await session.run(feeds, { adapter }))[output]!);
  // Layers that have one kernel or table for all rows, in as many runs as there are adapters; linear ones in one.
  for (const choice of [
    ['both', 'linear', null, 'both'],
    ['linear', null, 'linear', null],
  ]) {
    const mixed = values((await session.run(feeds, { adapter: choice }))[output]!);
    const width = mixed.length / rows;
    for (const [row, adapter] of choice.entries()) {
      const expected = await alone(adapter);
      for (let i = row * width; i < (row + 1) * width; i++) expect(mixed[i]).toBeCloseTo(expected[i]!, 5);
    }
  }
  await session.release();
});

describe('what cannot be', () => {
  it('DoRA of groups, and a rank pattern that the groups do not divide', () => {
    const { model } = nets.conv;
    const preview = (lora: LoraOptions) => () => previewLora(model, { targetModules: ['grouped'], ...lora });
    expect(preview({ rankPattern: { grouped: 3 } })).toThrow(
      /"grouped".*2 groups, and its rank must be a multiple of that, but it is 3/,
    );
    expect(preview({ r: 1 })).toThrow(/"grouped".*2 groups, and its rank must be a multiple of that, but it is 1/);
    expect(preview({ r: 4, useDora: true })).toThrow(/"grouped".*DoRA is defined for one group only/);
  });

  it.each([1e9, 200_000, 1025, 2 ** 60])('a rank of %d, told before anything is made of that size', async (r) => {
    const { model, task } = nets.conv;
    const before = process.memoryUsage().rss;
    const message = new RegExp(
      `The rank ${r} is beyond what "head" \\(linear, 3×\\d+\\) can make use of.*at most 1024`,
    );
    expect(() => previewLora(model, { r, targetModules: ['head'] })).toThrow(message);
    expect(() => previewLora(model, { rankPattern: { head: r }, targetModules: ['head'] })).toThrow(message);
    await expect(train(model, { task, lora: { r, targetModules: ['head'] }, ...settings })).rejects.toThrow(message);
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
    expect(previewLora(model, { r: 1024, targetModules: ['head'] }).targets).toEqual(['head']);
  });
});

it('gradients of transposed convolutions are those of finite differences', async () => {
  const { model, feeds, output } = nets.up;
  const labels = int64([0, 1, 2, 0], [rows]);
  const found = await checkGradients(model, {
    lora: { r: 4, targetModules: ['up', 'split'] },
    loss: (g, outputs, targets) => crossEntropy(g, outputs[output]!, targets['labels']!),
    inputs: feeds,
    targets: { labels },
    elements: 3,
  });
  expect(found.map(({ problem }) => problem)).toEqual([undefined, undefined, undefined, undefined]);
});

it('the weights of an LSTM are parameters under torch’s names, and not among the targets of patterns', () => {
  const { model } = nets.recurrent;
  expect(model.modules().map((module) => module.path)).toEqual([...recurrentWeights, 'head']);
  expect(model.unadaptable()).toEqual([]);
  expect(previewLora(model, { targetModules: '.*' }).targets).toEqual(['head']);
  expect(() => previewLora(model, { targetParameters: ['lstm.weight_ih'] })).toThrow(/"lstm\.weight_ih_l0"/);
});

describe('transposed convolutions', () => {
  const { model } = nets.up;

  it('have no DoRA, nor first values from their weights', () => {
    const preview = (lora: LoraOptions) => () => previewLora(model, { targetModules: ['up'], ...lora });
    expect(preview({ useDora: true })).toThrow(/"up".*transposed convolution, for which there is no DoRA/);
    expect(preview({ initLoraWeights: 'pissa' })).toThrow(/"up" cannot start with "pissa".*random numbers alone/);
  });

  it('are named by patterns and by their kind, those in groups with a rank that fits', () => {
    const targetModules: LoraOptions['targetModules'] = ({ kind }) => kind === 'convTranspose2d';
    const { targets, trainableParameters } = previewLora(model, { r: 3, targetModules });
    expect(targets).toEqual(['up', 'split']);
    // r (in · 9 + out), and in two groups with rank 4 instead: 4 · (in · 4) + out · 2.
    expect(trainableParameters).toBe(3 * (4 * 9 + 6) + 4 * 6 * 4 + 8 * 2);
  });
});

describe('grouped convolutions that a pattern reaches', () => {
  const { model, task } = nets.conv;
  const paths = model.modules().map((module) => module.path);

  it('get the next rank that their groups divide, scaled as was asked, and the config says so', async () => {
    for (const useRslora of [false, true]) {
      const run = await train(model, {
        task,
        lora: { r: 3, loraAlpha: 6, targetModules: '.*', useRslora },
        ...settings,
      });
      const { tensors, config } = run.adapter;
      const scalings = ['grouped', 'stem'].map((module) => {
        const name = `base_model.model.${module}.lora_A.weight`;
        return [tensors.get(name)!.dims[0], scalingOf(config, module).scaling];
      });
      const scaling = useRslora ? 6 / Math.sqrt(3) : 2;
      expect(scalings).toEqual([[4, expect.closeTo(scaling, 10)], [3, scaling]]); // prettier-ignore
      expect(config.rankPattern).toEqual({ '^grouped': 4 });
      const { warnings } = previewLora(model, { r: 3, targetModules: '.*', useRslora });
      expect(warnings).toEqual(['The rank of a grouped convolution must be a multiple of its groups, so it is for "grouped" 4.']); // prettier-ignore
      const told: string[] = [];
      for await (const event of run) if (event.type === 'warning') told.push(event.message);
      expect(told).toEqual(warnings);
    }
  });

  it('are left out where that would be far more than was asked, with a line that says how to have them', () => {
    const { targets, warnings } = previewLora(model, { r: 1, targetModules: () => true });
    expect(targets).toEqual(paths.filter((path) => path !== 'grouped'));
    expect(warnings).toEqual([
      'Left out: "grouped", a convolution in 2 groups, and a rank must be a multiple of its groups; r is 1. To adapt one all the same, give it a rank: rankPattern (--rank-pattern) grouped=2.',
    ]);
    const asked = previewLora(model, { r: 1, targetModules: '.*', rankPattern: { grouped: 2 } });
    expect(asked).toMatchObject({ targets: paths, warnings: [] });
    const dora = previewLora(model, { r: 4, targetModules: '.*', useDora: true });
    expect(dora.targets).not.toContain('grouped');
    expect(dora.warnings).toEqual([expect.stringMatching(/^Left out: "grouped", .* no DoRA\./)]);
    expect(() => previewLora(model, { r: 1, targetModules: 'groupe.' })).toThrow(/^Nothing is left to adapt\. Left out: "grouped"/); // prettier-ignore
  });
});
