/** @file Effects of the hooks that tuners have around steps. */

import path from 'node:path';
import { type Adapter, convertToLora, type Feeds, loadAdapter, type Model, openModel } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { describe, expect, it } from 'vitest';
import { methodsPlugin } from '../../plugin.ts';
import { dyloraAtRank } from './dylora.ts';

const cases = path.join(import.meta.dirname, '../../../../../test/fixtures/cases');

async function opened(name: string): Promise<{ model: Model; adapter: Adapter; feeds: Feeds }> {
  const folder = path.join(cases, name);
  const { tensors } = await readSafetensors(path.join(folder, 'inputs.safetensors'));
  return {
    model: await openModel(path.join(folder, 'model.onnx'), { plugins: [methodsPlugin] }),
    adapter: await loadAdapter(path.join(folder, 'trained')),
    feeds: { x: tensors.get('x')! },
  };
}

async function logits(model: Model, adapter: Adapter, feeds: Feeds): Promise<number[]> {
  const session = await model.session({ adapters: { adapter } });
  const { logits: found } = await session.run(feeds, { adapter: 'adapter' });
  await session.release();
  return [...(found!.data as Float32Array)];
}

function expectNear(found: readonly number[], expected: readonly number[], digits: number): void {
  found.forEach((each, i) => {
    expect(each).toBeCloseTo(expected[i]!, digits);
  });
}

/** Ranks that its layers have, each once. */
function ranksOf({ tensors }: Adapter): number[] {
  return [...new Set([...tensors].flatMap(([name, { dims }]) => (name.includes('lora_A') ? [dims[0]!] : [])))];
}

describe('dylora', () => {
  it('computes with the first directions of any rank, and is plain LoRA of it', async () => {
    const { model, adapter, feeds } = await opened('methods-dylora');
    for (const rank of [1, 2, 4]) {
      const cut = dyloraAtRank(adapter, rank);
      const expected = await logits(model, cut, feeds);
      // The same with zeros in place of the others, times 4 / rank, as alpha is divided by the rank.
      const zeroed = new Map(
        [...adapter.tensors].map(([name, { dims, data }]) => {
          const kept = (data as Float32Array).map((value, i) => (i % 4 < rank ? (value * 4) / rank : 0));
          return [name, { type: 'float32', dims, data: name.endsWith('lora_B') ? kept : data }] as const;
        }),
      );
      const { config } = adapter;
      expectNear(await logits(model, Object.assign(Object.create(adapter) as Adapter, { config, tensors: zeroed }), feeds), expected, 4); // prettier-ignore
      const { adapter: plain, errors } = await convertToLora(cut, model, { r: rank });
      expect([...new Set(errors.values())]).toEqual([0]);
      expect(ranksOf(plain)).toEqual([rank]);
      expectNear(await logits(model, plain, feeds), expected, 4);
    }
    await expect(logits(model, dyloraAtRank(adapter, 9), feeds)).rejects.toThrow('setting rank must be at most r, which is 4, and is 9.'); // prettier-ignore
  });
});

it.each([
  ['relora', 4],
  ['cola', 3],
  ['periodic-lora', 4],
])('what %s has taken in is plain LoRA of so many more ranks', async (name, times) => {
  const { model, adapter, feeds } = await opened(`methods-${name}`);
  // Restarts of rank 2, and what was trained since.
  const { adapter: plain, errors } = await convertToLora(adapter, model, { r: 2 * times });
  expect([...new Set(errors.values())]).toEqual([0]);
  expect(ranksOf(plain)).toEqual([2 * times]);
  expectNear(await logits(model, plain, feeds), await logits(model, adapter, feeds), 4);
});

it('directions that sora has closed are not in plain LoRA', async () => {
  const { model, adapter, feeds } = await opened('methods-sora');
  const gates = [...adapter.tensors].flatMap(([name, { data }]) => (name.endsWith('gate') ? [[...(data as Float32Array)]] : [])); // prettier-ignore
  const open = gates.map((each) => each.filter((gate) => gate !== 0).length);
  expect(open.some((each) => each > 0 && each < 4)).toBe(true);
  const { adapter: plain } = await convertToLora(adapter, model, { r: 4 });
  const ranks = [...plain.tensors].flatMap(([name, { dims }]) => (name.includes('lora_A') ? [dims[0]!] : []));
  const ascending = (one: number, other: number): number => one - other;
  expect(ranks.sort(ascending)).toEqual(open.map((each) => Math.max(1, each)).sort(ascending));
  expectNear(await logits(model, plain, feeds), await logits(model, adapter, feeds), 4);
});

it('aflora is plain LoRA of its rank', async () => {
  const { model, adapter, feeds } = await opened('methods-aflora');
  const { adapter: plain } = await convertToLora(adapter, model, { r: 3 });
  expect(ranksOf(plain)).toEqual([3]);
  expectNear(await logits(model, plain, feeds), await logits(model, adapter, feeds), 4);
});
