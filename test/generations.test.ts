/**
 * @file Adapters across the names of transformers 4 and 5, against PEFT's outputs: pairs of cases are the same weights
 * exported under both, so that the adapter of one on the graph of the other gives what PEFT computed.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { scienceFamilies } from '@onnx-lora/science';
import { Adapter, type Feeds, loadAdapter, merge, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { inNaming } from '@onnx-lora/sdk/plugin';
import { speechFamilies } from '@onnx-lora/speech';
import { textFamilies } from '@onnx-lora/text';
import { visionFamilies } from '@onnx-lora/vision';
import { afterAll, describe, expect, it } from 'vitest';
import { caseFolders } from './support/caseFolders.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-generations-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const families = [...visionFamilies, ...speechFamilies, ...scienceFamilies, ...textFamilies];
const cases = new Map(caseFolders());
const pairs = (
  [
    ['vit-v4', 'vit-dynamo-v5'],
    ['vit-dora-v4', 'vit-dynamo-v5'],
    ['vit-v4', 'vit-v5'],
    ['dinov2-v4', 'dinov2-v5'],
    ['swin-v4', 'swin-v5'],
    ['sam-vision-v4', 'sam-vision-v5'],
    ['wav2vec2-bias-v4', 'wav2vec2-bias-v5'],
    ['whisper-seq2seq-v4', 'whisper-seq2seq-v5'],
    ['esm2-mlm-v4', 'esm2-mlm-v5'],
  ] as const
).filter((pair) => pair.every((name) => cases.has(name)));

interface Case {
  readonly feeds: Feeds;
  readonly adapter: Adapter;
  /** PEFT's outputs with the adapter. */
  readonly golden: readonly (readonly [output: string, tensor: Tensor])[];
}

function open(name: string): Promise<Model> {
  return openModel(path.join(cases.get(name)!, 'model.onnx'), { families });
}

async function read(name: string, model: Model): Promise<Case> {
  const at = (file: string): string => path.join(cases.get(name)!, file);
  const [{ tensors: inputs }, { tensors: expected }] = [
    await readSafetensors(at('inputs.safetensors')),
    await readSafetensors(at('expected.safetensors')),
  ];
  return {
    feeds: Object.fromEntries([...inputs].filter(([input]) => input in model.inputs)),
    adapter: await loadAdapter(at('adapter')),
    golden: [...expected].flatMap(([key, tensor]) => {
      const output = key.slice('lora.'.length);
      return key.startsWith('lora.') && output in model.outputs ? [[output, tensor] as const] : [];
    }),
  };
}

/** Whether outputs are PEFT's. */
function expectGolden(outputs: Readonly<Record<string, Tensor>>, { golden }: Case): void {
  expect(golden.length).toBeGreaterThan(0);
  for (const [name, tensor] of golden) {
    const [found, wanted] = [outputs[name]!.data as Float32Array, tensor.data as Float32Array];
    const difference = found.map((value, i) => Math.abs(value - wanted[i]!));
    expect(Math.max(...difference), name).toBeLessThan(2e-5 * Math.max(1, ...wanted.map(Math.abs)));
  }
}

const directions = pairs.flatMap(([old, recent]) => [
  [old, recent, 4],
  [recent, old, 5],
] as const); // prettier-ignore

describe.each(directions)('the adapter of %s on the graph of %s', (from, on, generation) => {
  it('gives what PEFT computed, beside the base and merged', async () => {
    const model = await open(on);
    const subject = await read(from, model);
    const placed = await model.place(subject.adapter);
    expect(placed.unused.filter((name) => !name.includes('base_layer'))).toEqual([]);
    const session = await model.session({ adapters: { it: subject.adapter }, threads: 1, provider: 'cpu', worker: false });
    expectGolden(await session.run(subject.feeds, { adapter: 'it' }), subject);
    const base = await session.run(subject.feeds, { adapter: null });
    expect(() => expectGolden(base, subject)).toThrow('to be less than');
    await session.release();

    const file = path.join(folder, 'merged.onnx');
    await merge(model, subject.adapter, file, { overwrite: true });
    const plain = await (await openModel(file)).session({ threads: 1, provider: 'cpu', worker: false });
    expectGolden(await plain.run(subject.feeds), subject);
    await plain.release();
  }); // prettier-ignore

  it('and saved under its names, too', async () => {
    const model = await open(on);
    const subject = await read(from, model);
    const other = generation === 4 ? 5 : 4;
    const saved = path.join(folder, `${from}-as-${other}`);
    await inNaming(subject.adapter, other, model).save(saved, { overwrite: true });
    const renamed = await loadAdapter(saved);
    // Without a family only exact names are found.
    const { unused } = await (await openModel(path.join(cases.get(on)!, 'model.onnx'))).place(renamed);
    expect(unused.filter((name) => !name.includes('base_layer'))).toEqual([]);
    const back = inNaming(renamed, generation, model);
    expect(back.tensors).toEqual(subject.adapter.tensors);
  });
});

it('one session takes adapters of both', async () => {
  const [model, old] = [await open('vit-dynamo-v5'), await open('vit-v4')];
  const [first, second] = [await read('vit-v4', old), await read('vit-dynamo-v5', model)];
  for (const each of [model, old]) {
    const session = await each.session({ adapters: { first: first.adapter, second: second.adapter }, threads: 1 });
    expectGolden(await session.run(first.feeds, { adapter: 'first' }), first);
    expectGolden(await session.run(second.feeds, { adapter: 'second' }), second);
    await session.release();
  }
});

it.skipIf(!cases.has('vit-v5'))("renamed, an adapter says what PEFT's own of the other version says", async () => {
  const model = await open('vit-v5');
  const [old, recent] = [(await read('vit-v4', model)).adapter, (await read('vit-v5', model)).adapter];
  const [up, down] = [inNaming(old, 5, model), inNaming(recent, 4, model)];
  for (const [found, like] of [
    [up, recent],
    [down, old],
  ] as const) {
    expect([...found.tensors.keys()].sort()).toEqual([...like.tensors.keys()].sort());
    expect([...(found.config.targetModules ?? [])].sort()).toEqual([...(like.config.targetModules ?? [])].sort());
    expect(found.config.modulesToSave).toEqual(like.config.modulesToSave);
  }
});

it('an adapter in names that no family knows is refused with the remedy', async () => {
  const model = await openModel(path.join(cases.get('vit-dynamo-v5')!, 'model.onnx'));
  const { adapter } = await read('vit-v4', model);
  const { tensors } = adapter;
  const lowRank = new Map([...tensors].filter(([name]) => name.includes('lora_')));
  await expect(model.place(new Adapter(adapter.config, lowRank))).rejects.toThrow(
    /looks like a name of transformers 4, while the model's names look like those of transformers 5\. Open the model with its family/,
  );
});
