/** @file Tuners that do something around steps: runs go on after a stop, and what they leave behind is what it should be. */

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type Adapter,
  convertToLora,
  type Feeds,
  loadAdapter,
  type Model,
  openModel,
  train,
  type TrainOptions,
} from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { afterAll, describe, expect, it } from 'vitest';
import { memorising } from '../../fixtures/memorise.ts';
import { methodsPlugin } from '../plugin.ts';
import { dyloraAtRank } from './dylora.ts';

const cases = path.join(import.meta.dirname, '../../../../test/fixtures/cases');
const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-tuners-'));
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

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

describe('runs go on to the same bytes after a stop', () => {
  it.each([
    { name: 'sora', r: 4, sparse_lambda_2: 0.05 },
    { name: 'dylora', r: 4 },
    { name: 'dylora', r: 4, frozen: true },
    { name: 'relora', r: 2, restart_every: 3 },
    { name: 'cola', r: 2, restart_every: 3 },
    { name: 'periodic-lora', r: 2, restart_every: 3 },
    { name: 'aflora', r: 2, total_step: 8 },
  ])('of %o', async (tuner) => {
    const { model } = await opened('methods-sora');
    const task = await memorising(path.join(cases, 'methods-sora'));
    const all = { task, batchSize: 3, lora: { tuner, targetModules: ['up', 'down'] }, lr: 0.02, steps: 8 } satisfies TrainOptions; // prettier-ignore
    const whole = (await (await train(model, all)).done).adapter;
    const name = JSON.stringify(tuner);
    const checkpoints = { folder: path.join(scratch, name), every: 4 };
    const stopped = path.join(scratch, `${name}-stopped`);
    const run = await train(model, { ...all, checkpoints });
    for await (const event of run) if (event.type === 'checkpoint' && event.step === 4) cpSync(checkpoints.folder, stopped, { recursive: true }); // prettier-ignore
    await run.done;
    const again = (await (await train(model, { ...all, checkpoints: { ...checkpoints, folder: stopped }, resume: true })).done).adapter; // prettier-ignore
    expect([...again.tensors]).toEqual([...whole.tensors]);
  });
});

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
