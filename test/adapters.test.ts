/** @file From training to serving on one small ViT: what must hold whatever the adapter. */

import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type AdapterChoice,
  Adapter,
  type Feeds,
  float32,
  int64,
  loadAdapter,
  type LoraOptions,
  merge,
  openModel,
  stack,
  type Tensor,
  train,
  type TrainOptions,
} from '@onnx-lora/sdk';
import { crossEntropy, type Task } from '@onnx-lora/sdk/tasks';
import { ParameterSet, planAdapter, Trainer } from '@onnx-lora/sdk/core';
import { type ModelProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { afterAll, describe, expect, it } from 'vitest';
import { vitModel } from './fixtures/vit.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-adapters-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const file = path.join(folder, 'vit.onnx');
const [side, classes] = [16, 5];
writeOnnx(file, vitModel({ hidden: 32, layers: 2, heads: 2, image: side, patch: 4, classes }));
const model = await openModel(file);

const random = new Random(5);
const images = Array.from({ length: 12 }, () =>
  float32(
    new Float32Array(3 * side * side).map(() => random.uniform(-1, 1)),
    [3, side, side],
  ),
);

/** Each image belongs to a class; `poison` makes one of them hold NaN. */
function task(poison = false): Task<number> {
  return {
    name: 'memorize',
    prepare: () =>
      Promise.resolve({
        train: { length: images.length, get: (i: number) => Promise.resolve(i) },
        collate: (rows: readonly number[]) =>
          Promise.resolve({
            inputs: {
              pixel_values: poison ? poisoned(stack(rows.map((i) => images[i]!))) : stack(rows.map((i) => images[i]!)),
            },
            targets: {
              labels: int64(
                rows.map((i) => i % classes),
                [rows.length],
              ),
            },
          }),
        loss: (g, outputs, targets) => crossEntropy(g, outputs['logits']!, targets['labels']!),
        metrics: () => ({ update: () => undefined, result: () => ({}) }),
      }),
  };
}

function poisoned(tensor: Tensor): Tensor {
  const data = (tensor.data as Float32Array).slice();
  data[0] = NaN;
  return { ...tensor, data };
}

const settings = { steps: 6, batchSize: 4, lr: 2e-2, provider: 'cpu' } as const;

async function trained(lora: LoraOptions, options: Partial<TrainOptions> = {}): Promise<Adapter> {
  const run = await train(model, { task: task(), lora, ...settings, ...options });
  return (await run.done).adapter;
}

const feeds: Feeds = { pixel_values: stack(images.slice(0, 4)) };
const values = ({ data }: Tensor): number[] => Array.from(data as Float32Array);
const difference = (a: Tensor, b: Tensor): number =>
  Math.max(...values(a).map((value, i) => Math.abs(value - values(b)[i]!)));

const kinds: Readonly<Record<string, LoraOptions>> = {
  'query and value': { r: 4, targetModules: ['query', 'value'] },
  'all linear layers': { r: 2, loraAlpha: 8, targetModules: 'all-linear' },
  'rank and alpha patterns': {
    r: 4,
    targetModules: ['query', 'dense'],
    rankPattern: { query: 2 },
    alphaPattern: { 'layer.1.output.dense': 3 },
  },
  rslora: { r: 4, targetModules: ['key'], useRslora: true },
  dora: { r: 4, targetModules: ['query', 'dense', 'classifier'], useDora: true },
  'a trained head': { r: 4, targetModules: ['query'], modulesToSave: ['classifier'] },
  'a trained norm': { r: 4, targetModules: ['query'], modulesToSave: ['vit.layernorm'] },
};

describe.each(Object.entries(kinds))('%s', (_, lora) => {
  it('starts as the base, learns, and is the same merged, saved and loaded', async () => {
    const run = await train(model, { task: task(), lora, ...settings });
    const session = await model.session({ adapters: { fresh: run.adapter }, provider: 'cpu' });
    const base = (await session.run(feeds))['logits']!;
    expect(difference((await session.run(feeds, { adapter: 'fresh' }))['logits']!, base)).toBeLessThan(2e-5);
    await session.release();

    const losses: number[] = [];
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    expect(Math.min(...losses.slice(3))).toBeLessThan(losses[0]!);
    const { adapter } = await run.done;

    const saved = path.join(folder, 'saved');
    await adapter.save(saved, { overwrite: true });
    const loaded = await loadAdapter(saved);
    expect(loaded.tensors).toEqual(adapter.tensors);
    expect(loaded.baseDigest).toBe(await model.digest());

    const live = await model.session({ adapters: { loaded }, provider: 'cpu' });
    const unmerged = (await live.run(feeds, { adapter: 'loaded' }))['logits']!;
    await live.release();
    expect(difference(unmerged, base)).toBeGreaterThan(1e-2);
    const plain = path.join(folder, 'merged.onnx');
    await merge(model, loaded, plain, { overwrite: true });
    const merged = await (await openModel(plain)).session({ provider: 'cpu' });
    expect(difference((await merged.run(feeds))['logits']!, unmerged)).toBeLessThan(1e-4);
    await merged.release();
  });
});

describe('one batch, an adapter per row', () => {
  it('computes each row as a batch of its own would, whatever ranks, heads and variants meet', async () => {
    const adapters = {
      small: await trained({ r: 2, targetModules: ['query', 'value'] }),
      large: await trained({ r: 8, targetModules: 'all-linear' }),
      dora: await trained({ r: 4, targetModules: ['query', 'dense'], useDora: true }),
      head: await trained({ r: 4, targetModules: ['value'], modulesToSave: ['classifier'] }),
    };
    const session = await model.session({ adapters, provider: 'cpu' });
    const rows = ['small', null, 'dora', 'head', 'large', 'small'] as const;
    const pixels = images.slice(0, rows.length);
    const mixed = values((await session.run({ pixel_values: stack(pixels) }, { adapter: rows }))['logits']!);
    for (const [i, adapter] of rows.entries()) {
      const alone = values((await session.run({ pixel_values: stack([pixels[i]!]) }, { adapter }))['logits']!);
      alone.forEach((value, k) => {
        expect(mixed[i * classes + k]).toBeCloseTo(value, 4);
      });
    }
    await session.release();
  });

  it('has normalisations of its own in each row, and refuses unknown names and a wrong count', async () => {
    const adapters = {
      norm: await trained({ targetModules: ['query'], modulesToSave: ['vit.layernorm'] }),
      plain: await trained({ targetModules: ['query'] }),
    };
    const session = await model.session({ adapters, provider: 'cpu' });
    const two: Feeds = { pixel_values: stack(images.slice(0, 2)) };
    const logitsOf = async (adapter: AdapterChoice): Promise<number[]> => [
      ...((await session.run(two, { adapter }))['logits']!.data as Float32Array),
    ];
    const [norm, plain, mixed] = [await logitsOf('norm'), await logitsOf('plain'), await logitsOf(['norm', 'plain'])];
    const width = mixed.length / 2;
    for (const [i, value] of mixed.entries()) expect(value).toBeCloseTo((i < width ? norm : plain)[i]!, 5);
    expect(norm[width]).not.toBeCloseTo(plain[width]!, 5);
    await expect(session.run(two, { adapter: 'plein' })).rejects.toThrow(/no adapter "plein"\. Did you mean "plain"/);
    await expect(session.run(two, { adapter: ['plain'] })).rejects.toThrow(
      '1 adapter names were given for a batch of 2 rows',
    );
    await session.release();
  });
});

describe('training', () => {
  const lora: LoraOptions = { r: 2, targetModules: ['query'] };

  it('repeats bit for bit with the same seed, and differs with another', async () => {
    const [first, second, other] = [
      await trained(lora, { seed: 3 }),
      await trained(lora, { seed: 3 }),
      await trained(lora, { seed: 4 }),
    ];
    expect(second.tensors).toEqual(first.tensors);
    expect(other.tensors).not.toEqual(first.tensors);
  });

  it('computes the same loss and gradients in pieces as at once', async () => {
    const { plan } = planAdapter(model, { r: 4, targetModules: 'all-linear' });
    const trainer = (lossWeight?: (targets: Feeds) => number, base: ModelProto = model.onnx.model): Trainer =>
      new Trainer({
        base,
        plan,
        loss: (g, outputs, targets) => crossEntropy(g, outputs['logits']!, targets['labels']!),
        ...(lossWeight ? { lossWeight } : {}),
        // One row at a time would never be chosen by itself for a model this small.
        pieceRows: (rows) => (lossWeight ? 2 : rows),
        runtime: model.runtime,
        session: { provider: 'cpu' },
        parameters: (inputs) => ParameterSet.initial(inputs, new Random(1)),
        name: 'vit',
      });
    const targets: Feeds = { labels: int64([0, 1, 2, 3, -100, 4], [6]) };
    const inputs: Feeds = { pixel_values: stack(images.slice(0, 6)) };
    const counted = ({ labels }: Feeds): number =>
      [...(labels!.data as BigInt64Array)].filter((label) => label !== -100n).length;
    const whole = await trainer().lossAndGradients(inputs, targets);
    const pieces = await trainer(counted).lossAndGradients(inputs, targets);
    expect(pieces.loss).toBeCloseTo(whole.loss, 5);
    for (const [name, gradient] of whole.gradients) {
      const largest = Math.max(...gradient.map(Math.abs), 1e-6);
      gradient.forEach((value, i) => {
        expect(Math.abs(value - pieces.gradients.get(name)![i]!) / largest).toBeLessThan(1e-4);
      });
    }
    // A model that was exported for six rows takes no part of them.
    const fixed = trainer(counted, withRows(6));
    expect(await fixed.lossAndGradients(inputs, targets)).toMatchObject({ loss: whole.loss });
    expect(fixed.memoryPlan).toMatchObject({ batchRows: 6, rows: 6 });
  });

  function withRows(dimValue: number): ModelProto {
    const { graph } = model.onnx.model;
    const input = graph!.input!.map((info) => {
      const { tensorType } = info.type!;
      const [, ...others] = tensorType!.shape!.dim!;
      return { ...info, type: { tensorType: { ...tensorType, shape: { dim: [{ dimValue }, ...others] } } } };
    });
    return { ...model.onnx.model, graph: { ...graph, input } };
  }

  it('stops at a loss that is not a number, says so, and has moved nothing', async () => {
    const run = await train(model, { task: task(true), lora, ...settings });
    const before = run.adapter.tensors;
    await expect(run.done).rejects.toThrow(/Step 1: The loss became NaN\. Lower the learning rate/);
    expect(run.adapter.tensors).toEqual(before);
  });

  it('stops on request after the step under way', async () => {
    const run = await train(model, { task: task(), lora, ...settings, steps: 500 });
    for await (const { step } of run) if (step === 2) run.stop();
    const { steps, stopped } = await run.done;
    expect(stopped).toBe(true);
    expect(steps).toBeLessThan(10);
  });
});

describe('an adapter of another base', () => {
  it('is refused by the digest of the weights, unless the caller insists', async () => {
    const adapter = await trained({ r: 2, targetModules: ['query'] });
    const changed = path.join(folder, 'changed.onnx');
    await merge(model, await trained({ r: 2, targetModules: ['value'] }), changed);
    const other = await openModel(changed);
    await expect(other.session({ adapters: { adapter } })).rejects.toThrow(
      /trained on other weights than those of .*changed\.onnx/,
    );
    const session = await other.session({ adapters: { adapter }, allowBaseMismatch: true, provider: 'cpu' });
    await session.release();
  });

  it('is refused by its shapes and names', async () => {
    const adapter = await trained({ r: 2, targetModules: ['query'] });
    const wide = path.join(folder, 'wide.onnx');
    writeOnnx(wide, vitModel({ hidden: 48, layers: 2, heads: 2, image: side, patch: 4, classes }));
    const bare = new Adapter(adapter.config, adapter.tensors);
    await expect((await openModel(wide)).session({ adapters: { bare } })).rejects.toThrow(
      /has shape \[2, 32\], but .* needs \[2, 48\]/,
    );
  });
});

it('leaves the model as it was when the merged file cannot be written', async () => {
  const adapter = await trained({ r: 2, targetModules: ['query'] });
  const copy = path.join(folder, 'copy', 'model.onnx');
  mkdirSync(path.dirname(copy));
  copyFileSync(file, copy);
  const before = readFileSync(copy);
  await expect(merge(await openModel(copy), adapter, copy)).rejects.toThrow(/is the base model itself/);
  await expect(merge(await openModel(copy), adapter, path.join(copy, 'x.onnx'))).rejects.toThrow(
    /is a file, and a folder is to be written/,
  );
  expect(readFileSync(copy).equals(before)).toBe(true);
  expect(readdirSync(path.dirname(copy))).toEqual(['model.onnx']);
});
