/** @file The plugin keeps its contract; models open from checkpoints, train, and go back to checkpoints. */

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { float32, loadAdapter, merge, type Model, openModel, OrtRuntime, quantize, type Tensor } from '@onnx-lora/sdk';
import { parseSafetensors } from '@onnx-lora/sdk/core';
import { floats, sessionModel } from '@onnx-lora/sdk/plugin';
import { checkPlugin } from '@onnx-lora/testing';
import type { Architecture } from './architecture.ts';
import { buildModel } from './buildModel.ts';
import { buildPlugin, buildPluginWith } from './plugin.ts';

const fixture = (name: string): string => path.join(import.meta.dirname, '../fixtures', name);
const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-build-'));
const place = (name: string): string => path.join(scratch, name);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const plugins = [buildPlugin];
/** The checkpoint of the ViT that the quickstart has as .onnx. */
const real = '../shared/oracle/checkpoints-real/vit-mnist';
const tensorsIn = (file: string): Map<string, Tensor> => parseSafetensors(readFileSync(file), file).tensors;

test('it is a plugin as others are', async () => {
  expect(await checkPlugin(buildPlugin, { builders: { checkpoint: { folder: fixture('vit-cls') } } })).toEqual([]);
  expect(await checkPlugin(buildPlugin)).toEqual(['builder "checkpoint": there is no example of its folder']);
});

describe('a model from a checkpoint', () => {
  test('has the modules of torch, with certain paths', async () => {
    const model = await openModel(fixture('bert-seqcls'), { plugins });
    const { modules } = JSON.parse(readFileSync(path.join(fixture('bert-seqcls'), 'case.json'), 'utf8')) as { modules: Record<string, unknown> }; // prettier-ignore
    expect(new Set(model.modules().map((each) => each.path))).toEqual(new Set(Object.keys(modules)));
    expect(model.modules().every(({ confidence }) => confidence === 'certain')).toBe(true);
    expect(model.folder).toBe(fixture('bert-seqcls'));
  });

  test('computes with weights of sixteen bits where they lie', async () => {
    const model = await openModel(fixture('qwen2-bf16'), { plugins });
    const stored = model.onnx.model.graph.initializer!.find(({ name }) => name === 'model.norm.weight')!;
    expect(stored.rawData).toMatchObject({ path: path.join(fixture('qwen2-bf16'), 'model.safetensors') });
    expect(model.modules()[1]!.storage).toBe('bfloat16');
  });

  test.runIf(existsSync(real))('opens in four bits, and is quantised', async () => {
    const model = await openModel(real, { plugins, precision: 'int4' });
    expect(model.modules().filter(({ storage }) => storage.startsWith('uint4'))).toHaveLength(36);
    const { files } = await quantize(await openModel(real, { plugins }), place('int8'), { bits: 8 });
    expect(files.map((file) => path.relative(place('int8'), file))).toContain('model.onnx');
  });

  test.runIf(existsSync(real))('computes what its published .onnx does', async () => {
    const published = await openModel('docs/examples/models/vit-mnist');
    const model = await openModel(real, { plugins });
    const pixels = float32(
      Float32Array.from({ length: 3 * 3 * 28 * 28 }, (_, i) => Math.sin(i)),
      [3, 3, 28, 28],
    );
    const [wanted, found] = [await run(published, pixels), await run(model, pixels)];
    for (const [i, value] of floats(wanted).entries()) expect(Number(found.data[i])).toBeCloseTo(value, 4);
  });

  test('is said to need the plugin where that is not there', async () => {
    await expect(openModel(fixture('vit-cls'))).rejects.toThrow(/no \.onnx file.*@onnx-lora\/build/);
  });

  test('of an architecture of one’s own', async () => {
    const folder = place('own');
    cpSync(fixture('vit-cls'), folder, { recursive: true });
    const config = JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')) as object;
    writeFileSync(
      path.join(folder, 'config.json'),
      JSON.stringify({ ...config, model_type: 'mine', architectures: null }),
    );
    await expect(openModel(folder, { plugins })).rejects.toThrow(/"model_type": "mine", and no such architecture/);
    // As simple as can be: the mean over all pixels, times the bias of the norm.
    const mine: Architecture = {
      modelType: 'mine',
      prefix: 'vit',
      others: /./,
      classes: {
        Mine: (c) => {
          const [channels, [height, width], hidden] = [
            c.size('num_channels'),
            c.pair('image_size'),
            c.size('hidden_size'),
          ];
          // Nothing else of the config counts here.
          c.skip(...Object.keys(config));
          return {
            model: (m) => {
              const pixels = m.graph.input('pixel_values', 'float32', ['batch', channels, height, width]);
              const mean = m.g.ReduceMean(pixels, [1, 2, 3], true);
              m.graph.output('y', m.g.Mul(mean, m.parameter('layernorm.bias', [hidden])));
            },
          };
        },
      },
    };
    const model = await openModel(folder, { plugins: [buildPluginWith([mine])] });
    expect(Object.keys(model.outputs)).toEqual(['y']);
  });
});

describe('a merged model as a checkpoint', () => {
  test.each(['bert-seqcls', 'gpt2', 'qwen2-bf16', 'whisper'])(
    '%s has the same tensors, the adapted ones changed',
    async (name) => {
      const [model, adapter] = [await openModel(fixture(name), { plugins }), await loadAdapter(path.join(fixture(name), 'adapter'))]; // prettier-ignore
      const out = place(`merged-${name}`);
      const { files } = await merge(model, adapter, out, { format: 'safetensors' });
      expect(path.basename(files[0]!)).toBe('model.safetensors');
      const [before, after] = [fixture(name), out].map((folder) => tensorsIn(path.join(folder, 'model.safetensors'))) as [Map<string, Tensor>, Map<string, Tensor>]; // prettier-ignore
      expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
      const changed = [...before].filter(
        ([key, tensor]) => Buffer.compare(bytes(tensor), bytes(after.get(key)!)) !== 0,
      );
      const adapted = [...new Set([...adapter.tensors.keys()].map((key) => key.replace(/^base_model\.model\.(.*)\.lora_\w+.*$/, '$1.weight')))]; // prettier-ignore
      const ends = (key: string): boolean => adapted.some((each) => each === key || each.endsWith(`.${key}`));
      expect(changed.length).toBe(adapted.length);
      expect(changed.every(([key]) => ends(key))).toBe(true);
      // Merged and unmerged are one.
      const again = await openModel(out, { plugins });
      expect(again.parameterCount).toBe(model.parameterCount);
    },
  );

  test('computes what the adapter does', async () => {
    const name = 'vit-cls';
    const model = await openModel(fixture(name), { plugins });
    const out = place('vit-merged');
    await merge(model, await loadAdapter(path.join(fixture(name), 'adapter')), out, { format: 'safetensors' });
    const expected = tensorsIn(path.join(fixture(name), 'expected.safetensors')).get('lora.logits')!;
    const pixels = tensorsIn(path.join(fixture(name), 'inputs.safetensors')).get('pixel_values')!;
    const logits = await run(await openModel(out, { plugins }), pixels);
    for (const [i, value] of floats(expected).entries()) expect(Number(logits.data[i])).toBeCloseTo(value, 3);
  });

  test('is refused of an .onnx file, onto itself, and as a single file', async () => {
    const adapter = await loadAdapter(path.join(fixture('vit-cls'), 'adapter'));
    await buildModel(fixture('vit-cls'), place('vit'));
    const built = await openModel(place('vit'), { plugins });
    const model = await openModel(fixture('vit-cls'), { plugins });
    const format = 'safetensors' as const;
    await expect(merge(built, adapter, place('x'), { format, allowBaseMismatch: true })).rejects.toThrow(/was not built from a checkpoint/); // prettier-ignore
    await expect(merge(model, adapter, fixture('vit-cls'), { format })).rejects.toThrow(/is the base model itself/);
    await expect(merge(model, adapter, place('x.onnx'), { format })).rejects.toThrow(/A checkpoint is a folder/);
    expect(existsSync(place('x'))).toBe(false);
  });
});

describe('a written model', () => {
  test('is laid out as published ones are, and computes the same', async () => {
    const out = place('whisper');
    const { files, architecture, config } = await buildModel(fixture('whisper'), out);
    expect(architecture).toBe('WhisperForConditionalGeneration');
    expect(files.map((file) => path.relative(out, file))).toContain('onnx/encoder_model.onnx');
    expect(existsSync(path.join(out, 'config.json'))).toBe(true);
    expect(config).toMatchObject({ d_model: 24, encoder_attention_heads: 3 });
    await expect(buildModel(fixture('whisper'), out)).rejects.toThrow(/is there already/);
    await expect(buildModel(fixture('whisper'), fixture('whisper'))).rejects.toThrow(/is the checkpoint itself/);
  });

  test.each([
    ['float32', 'float32'],
    ['float16', 'float16'],
    ['stored', 'bfloat16'],
  ] as const)('%s weights', async (weights, storage) => {
    // prettier-ignore
    const out = place(`qwen-${weights}`);
    await buildModel(fixture('qwen2-bf16'), out, { weights, opset: 20 });
    const model = await openModel(out);
    expect([model.modules()[1]!.storage, model.opset]).toEqual([storage, 20]);
  });

  test('is refused in an opset that is not known', async () => {
    await expect(buildModel(fixture('vit-cls'), place('old'), { opset: 13 })).rejects.toThrow(
      /opset 17 to 22, not in 13/,
    );
  });
});

function bytes({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

async function run({ onnx, name }: Model, pixels: Tensor): Promise<Tensor> {
  const session = await new OrtRuntime().createSession({ ...sessionModel(onnx.model), name });
  const { logits } = await session.run({ pixel_values: pixels });
  await session.release();
  return logits!;
}
