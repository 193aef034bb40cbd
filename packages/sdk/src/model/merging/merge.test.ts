/** @file Merging with weights, against sessions that blend adapters; and taking apart again. */

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { formAdapter } from '../../../../../test/support/formAdapters.ts';
import { formFeeds, formModel, layerForms } from '../../../../../test/support/layerForms.ts';
import { Adapter } from '../../adapter/adapter.ts';
import { readSafetensors } from '../../adapter/formats/safetensors.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32 } from '../../runtime/tensor.ts';
import { loadAdapter } from '../opening/loadAdapter.ts';
import { type AdaptersToMerge, merge, unmerge } from './merge.ts';
import type { Model } from '../loaded/model.ts';
import { openModel } from '../openModel.ts';

const cases = fileURLToPath(new URL('../../../../../test/fixtures/cases', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-merge-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function open(name: string): Promise<{ model: Model; one: Adapter; two: Adapter; feeds: Feeds }> {
  const model = await openModel(path.join(cases, name, 'model.onnx'));
  const { tensors } = await readSafetensors(path.join(cases, name, 'inputs.safetensors'));
  const one = await loadAdapter(path.join(cases, name, 'adapter'));
  const random = new Random(3);
  const other = [...one.tensors].map(([key, { dims, data }]) => [key, float32(Float32Array.from(data as Float32Array, (each) => each * random.uniform(0.5, 1.5)), dims)] as const); // prettier-ignore
  return {
    model,
    one,
    two: new Adapter(one.config, new Map(other)),
    feeds: Object.fromEntries([...tensors].filter(([input]) => Object.hasOwn(model.inputs, input))),
  };
}

type Choice = Parameters<Awaited<ReturnType<Model['session']>>['run']>[1];

async function logits(
  model: Model,
  feeds: Feeds,
  adapters: Record<string, Adapter> = {},
  choice: Choice = { adapter: null },
): Promise<Float32Array> {
  const session = await model.session({ adapters, provider: 'cpu', worker: false });
  try {
    return (await session.run(feeds, choice))['logits']!.data as Float32Array;
  } finally {
    await session.release();
  }
}

async function merged(model: Model, adapters: AdaptersToMerge, feeds: Feeds): Promise<Float32Array> {
  const { files } = await merge(model, adapters, path.join(folder, 'merged.onnx'), { overwrite: true });
  return logits(await openModel(files[0]!), feeds);
}

const furthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe('with weights', () => {
  it.each(['lora-linear', 'lora-lora-bias', 'lora-conv2d-dilated', 'lora-trainable-tokens'])(
    'adapters add up as in a session that blends them, in %s',
    async (name) => {
      const { model, one, two, feeds } = await open(name);
      const weights = { one: 0.7, two: -0.4 };
      const blended = await logits(model, feeds, { one, two }, { adapter: weights });
      const parts = [
        { adapter: one, weight: 0.7 },
        { adapter: two, weight: -0.4 },
      ];
      expect(furthest(await merged(model, parts, feeds), blended)).toBeLessThan(2e-5);
      expect(furthest(await merged(model, [one, two], feeds), blended)).toBeGreaterThan(1e-3);
    },
  );

  it.each(['vit-dora-v4', 'lora-dora-embedding', 'lora-modules-to-save', 'lora-bias-all'])(
    'one adapter changes in part what it replaces, in %s',
    async (name) => {
      const { model, one, feeds } = await open(name);
      const blended = await logits(model, feeds, { one }, { adapter: { one: 0.25 } });
      expect(furthest(await merged(model, [{ adapter: one, weight: 0.25 }], feeds), blended)).toBeLessThan(2e-5);
    },
  );

  it('refuses what is no number', async () => {
    const { model, one } = await open('lora-linear');
    await expect(merge(model, [{ adapter: one, weight: NaN }], path.join(folder, 'x.onnx'))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });
});

describe('into a folder', () => {
  it('writes what is opened as the base is, and makes the folder', async () => {
    const base = path.join(folder, 'base');
    mkdirSync(path.join(base, 'onnx'), { recursive: true });
    cpSync(path.join(cases, 'lora-linear', 'model.onnx'), path.join(base, 'onnx', 'model.onnx'));
    writeFileSync(path.join(base, 'tokenizer.json'), '{}');
    writeFileSync(path.join(base, 'config.json'), '{"model_type":"mine"}');
    writeFileSync(path.join(base, 'secret.txt'), 'not for the new folder');
    const { one, feeds } = await open('lora-linear');
    const model = await openModel(base);
    const out = path.join(folder, 'new', 'merged');
    const { files } = await merge(model, one, out);
    expect(files.map((file) => path.relative(out, file)).toSorted()).toEqual(['config.json', 'onnx/model.onnx', 'tokenizer.json']); // prettier-ignore
    const again = await openModel(out);
    expect(again.config).toEqual({ model_type: 'mine' });
    const unmerged = await logits(model, feeds, { one }, { adapter: 'one' });
    expect(furthest(await logits(again, feeds), unmerged)).toBeLessThan(1e-6);
    await expect(merge(model, one, base)).rejects.toThrow(/is the base model itself/);
  });

  it('says where no folder can be made', async () => {
    const { model, one } = await open('lora-linear');
    writeFileSync(path.join(folder, 'file'), '');
    await expect(merge(model, one, path.join(folder, 'file', 'm.onnx'))).rejects.toThrow(
      /file" is a file, and a folder is to be written\./,
    );
  });
});

describe('unmerge', () => {
  it('gives the base back, with the weights that were merged', async () => {
    const { model, one, two, feeds } = await open('lora-lora-bias');
    const parts = [one, { adapter: two, weight: -0.4 }];
    const { files } = await merge(model, parts, path.join(folder, 'two.onnx'));
    const both = await openModel(files[0]!);
    const back = await unmerge(both, parts, path.join(folder, 'back.onnx'));
    const base = await logits(model, feeds);
    expect(furthest(await logits(both, feeds), base)).toBeGreaterThan(1e-2);
    expect(furthest(await logits(await openModel(back.files[0]!), feeds), base)).toBeLessThan(1e-5);
  });

  it.each([
    ['vit-dora-v4', /DoRA/],
    ['lora-modules-to-save', /trained in full/],
    ['lora-trainable-tokens', /replaces rows/],
  ])('refuses what merging replaced, in %s', async (name, why) => {
    const { model, one } = await open(name);
    const { files } = await merge(model, one, path.join(folder, 'lost.onnx'), { overwrite: true });
    await expect(unmerge(await openModel(files[0]!), one, path.join(folder, 'lost-back.onnx'))).rejects.toThrow(why);
  });
});

describe('a quantised weight', () => {
  it('stays as it is where rounding would take the change away, unless it shall be quantised again', async () => {
    const form = layerForms['MatMulNBits']!;
    const file = path.join(folder, 'few-bits.onnx');
    writeOnnx(file, formModel(form));
    const model = await openModel(file);
    const [feeds, adapter] = [formFeeds(form), formAdapter(form)];
    const [output] = Object.keys(model.outputs) as [string];
    const valuesOf = async (own: Model, adapters: Record<string, Adapter> = {}): Promise<Float32Array> => {
      const session = await own.session({ adapters, provider: 'cpu', worker: false });
      try {
        return (await session.run(feeds, { adapter: Object.keys(adapters)[0] ?? null }))[output]!.data as Float32Array;
      } finally {
        await session.release();
      }
    };
    const served = await valuesOf(model, { adapter });
    const differenceOf = async (merged: string): Promise<number> =>
      Math.max(...(await valuesOf(await openModel(merged))).map((value, i) => Math.abs(value - served[i]!)));
    const [beside, again] = [path.join(folder, 'beside.onnx'), path.join(folder, 'again.onnx')];
    expect(await merge(model, adapter, beside)).toMatchObject({ beside: ['fc'], rounding: [], modules: ['fc'] });
    expect(await differenceOf(beside)).toBeLessThan(1e-5);
    const requantized = await merge(model, adapter, again, { requantize: true });
    expect(requantized).toMatchObject({ beside: [], rounding: [{ module: 'fc', storage: 'uint4, blocks of 16' }] });
    expect(await differenceOf(again)).toBeGreaterThan(1e-2);
  });
});
