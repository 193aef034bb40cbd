/** @file Merging into weights of few bits: merged is unmerged, taken out is the base to the last byte, files load. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet, type RandomAdapterOptions, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Adapter } from '../../adapter/adapter.ts';
import { openOnnx, writeOnnx } from '../../graph/file/onnxFile.ts';
import type { QuantizedBits } from '../../ops/quantization/forms.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32 } from '../../runtime/tensor.ts';
import type { AdapterChoice } from '../../adapter/serving/session.ts';
import type { Model } from '../loaded/model.ts';
import { openModel } from '../openModel.ts';
import { quantize } from '../quantizing/quantize.ts';
import { type AdaptersToMerge, merge, unmerge } from './merge.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-few-bits-'));
afterAll(() => rmSync(folder, { recursive: true }));

const [INPUTS, HIDDEN] = [72, 96];
const random = new Random(5);
const x: Feeds = {
  x: float32(
    Float32Array.from({ length: 24 * INPUTS }, () => random.normal()),
    [24, INPUTS],
  ),
};
let files = 0;
const newFile = (): string => path.join(folder, `${files++}.onnx`);

/** Files by bits, all weights quantised. */
const bases = new Map<QuantizedBits, string>();
beforeAll(async () => {
  const base = newFile();
  writeOnnx(base, linearNet({ inputs: INPUTS, hidden: HIDDEN, layers: 2, outputs: 32 }));
  for (const bits of [4, 'nf4', 8] as const) {
    const file = newFile();
    await quantize(await openModel(base), file, { bits, smallest: 1 });
    bases.set(bits, file);
  }
});

const open = (bits: QuantizedBits): Promise<Model> => openModel(bases.get(bits)!);

async function answers(
  model: Model,
  adapters: Record<string, Adapter> = {},
  adapter: AdapterChoice = null,
): Promise<Float32Array> {
  await using session = await model.session({ adapters, provider: 'cpu', worker: false, threads: 1 });
  return (await session.run(x, { adapter }))['logits']!.data as Float32Array;
}

async function merged(model: Model, adapters: AdaptersToMerge): Promise<Model> {
  const file = newFile();
  await merge(model, adapters, file, { allowBaseMismatch: true });
  return openModel(file);
}

/** ‖found − wanted‖ ÷ ‖of‖ */
function off(found: Float32Array, wanted: Float32Array, of: Float32Array): number {
  const norm = (values: Float32Array): number => Math.hypot(...values);
  return norm(found.map((value, i) => value - wanted[i]!)) / norm(of);
}

/** How far the merged model is from the unmerged one, in parts of what the adapters change. */
async function lost(
  model: Model,
  adapters: Record<string, Adapter>,
  choice: AdapterChoice,
  into: Model,
): Promise<number> {
  const [base, wanted] = [await answers(model), await answers(model, adapters, choice)];
  return off(await answers(into), wanted, wanted.map((value, i) => value - base[i]!)); // prettier-ignore
}

const adapterOf = (model: Model, lora: NonNullable<RandomAdapterOptions['lora']>, seed = 3): Promise<Adapter> =>
  randomAdapter(model, { lora, seed });

const kinds = {
  LoRA: { r: 4, targetModules: ['encoder.0', 'encoder.1'] },
  DoRA: { r: 4, useDora: true, targetModules: ['encoder.0', 'encoder.1'] },
  'LoRA and a saved module': { r: 4, targetModules: ['encoder.0'], modulesToSave: ['head'] },
  'LoRA and biases': { r: 4, targetModules: ['encoder.0', 'encoder.1'], bias: 'all' },
} as const;

describe.each([4, 'nf4', 8] as const)('into %s bits', (bits) => {
  it.each(Object.entries(kinds))('%s: merged is unmerged', async (_, lora) => {
    const model = await open(bits);
    const adapter = await adapterOf(model, lora);
    expect(await lost(model, { adapter }, 'adapter', await merged(model, adapter))).toBeLessThan(
      bits === 8 ? 0.03 : 1e-4,
    );
  });

  it('two adapters on the same layers are their sum, and come out together, to the last byte of 4 bits', async () => {
    const model = await open(bits);
    const [one, two] = [await adapterOf(model, kinds.LoRA), await adapterOf(model, kinds.LoRA, 8)];
    const parts = [
      { adapter: one, weight: 0.7 },
      { adapter: two, weight: -0.4 },
    ];
    const both = await merged(model, parts);
    expect(await lost(model, { one, two }, { one: 0.7, two: -0.4 }, both)).toBeLessThan(bits === 8 ? 0.03 : 1e-4);
    const back = newFile();
    await unmerge(both, parts, back);
    if (bits !== 8) expect(readFileSync(back).equals(readFileSync(bases.get(bits)!))).toBe(true);
    const base = await answers(model);
    expect(off(await answers(await openModel(back)), base, base)).toBeLessThan(bits === 8 ? 0.02 : 1e-9);
  });
});

describe.each([4, 'nf4'] as const)('into %s bits,', (bits) => {
  it.each(['LoRA', 'DoRA'] as const)('%s comes out to the last byte', async (kind) => {
    const model = await open(bits);
    const adapter = await adapterOf(model, kinds[kind]);
    const back = newFile();
    const { modules } = await unmerge(await merged(model, adapter), adapter, back);
    expect(modules).toEqual(['encoder.0', 'encoder.1']);
    expect(readFileSync(back).equals(readFileSync(bases.get(bits)!))).toBe(true);
  });

  it('a merged file is merged into again, served with adapters, and taken apart from the last on', async () => {
    const model = await open(bits);
    const adapters = [
      await adapterOf(model, kinds.LoRA),
      await adapterOf(model, kinds.LoRA, 8),
      await adapterOf(model, kinds.DoRA, 9),
    ] as const;
    const [one, two, three] = adapters;
    const first = await merged(model, one);
    expect(first.modules().map(({ path: own }) => own)).toEqual(model.modules().map(({ path: own }) => own));
    const second = await merged(first, two);
    expect(await lost(model, { one, two }, { one: 1, two: 1 }, second)).toBeLessThan(1e-4);
    const third = await merged(second, three);
    const served = await (
      await second.session({ adapters: { three }, allowBaseMismatch: true, provider: 'cpu', worker: false })
    ).run(x, { adapter: 'three' });
    expect(off(await answers(third), served['logits']!.data as Float32Array, await answers(second))).toBeLessThan(1e-6);
    const nodes = third.stored.model.graph.node!;
    expect(new Set(nodes.map(({ name }) => name)).size).toBe(nodes.length);
    await expect(unmerge(third, one, newFile())).rejects.toThrow('has had other adapters merged into it since');
    let now = third;
    for (const adapter of [three, two, one]) {
      const file = newFile();
      await unmerge(now, adapter, file);
      now = await openModel(file);
    }
    expect(readFileSync(now.file).equals(readFileSync(bases.get(bits)!))).toBe(true);
  });

  it('what is not a branch of the file is not taken out of weights that cannot hold it', async () => {
    const model = await open(bits);
    const [one, two] = [await adapterOf(model, kinds.LoRA), await adapterOf(model, kinds.LoRA, 8)];
    await expect(unmerge(model, one, newFile())).rejects.toThrow(
      /"encoder.0" cannot be removed: the file does not say/,
    );
    const both = await merged(model, [one, two]);
    await expect(unmerge(both, one, newFile())).rejects.toThrow('2 adapters were merged into');
    // Another program has made other nodes of it.
    const { graph, ...rest } = openOnnx(both.file).model;
    const file = newFile();
    const renamed = graph.node!.map((node) => ({
      ...node,
      input: node.input!.map((name) => name.replace(/^onnx_lora.branch\//, 'other/')),
      output: node.output!.map((name) => name.replace(/^onnx_lora.branch\//, 'other/')),
    }));
    writeOnnx(file, { ...rest, graph: { ...graph, node: renamed } });
    await expect(unmerge(await openModel(file), [one, two], newFile())).rejects.toThrow(
      'another program has rewritten it since',
    );
  });
});
