/** @file ALoRA: what a review moves, held to runs of sessions without each direction and with it alone. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Adapter, convertToLora, float32, type Model, openModel, type Tensor, train } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { definePlugin, type Tuner } from '@onnx-lora/sdk/plugin';
import { crossEntropy } from '@onnx-lora/sdk/tasks';
import { expect, it } from 'vitest';
import { memorising, taskOf } from '../../../fixtures/memorise.ts';
import { methodsPlugin } from '../../plugin.ts';
import { allocatingLora } from './allocatingLora.ts';

const folder = path.join(import.meta.dirname, '../../../../../test/fixtures/cases/methods-sora');
const modules = ['layers.0.up', 'layers.0.down', 'layers.1.up', 'layers.1.down'];
const settings = { name: 'allocating-lora', r: 2, max_r: 6, moved: 3, seed: 5 };
const open = (): Promise<Model> => openModel(path.join(folder, 'model.onnx'), { plugins: [methodsPlugin] });

/** The adapter after three steps of a run with a review after so many. */
async function trained(model: Model, review_every: number): Promise<Adapter> {
  const lora = { tuner: { ...settings, review_every }, targetModules: ['up', 'down'] };
  return (await (await train(model, { task: await memorising(folder), batchSize: 3, lora, lr: 0.05, steps: 3 })).done)
    .adapter;
}

const nameOf = (module: string, word: string): string => `base_model.model.${module}.${word}`;
const numbers = ({ tensors }: Adapter, module: string, word: string): Float32Array => tensors.get(nameOf(module, word))!.data as Float32Array; // prettier-ignore

/** The mean cross-entropy of every second example, three as a batch has, with these gates. */
async function lossOf(
  model: Model,
  { config, tensors }: Adapter,
  gates: readonly (readonly number[])[],
): Promise<number> {
  const { tensors: given } = await readSafetensors(path.join(folder, 'inputs.safetensors'));
  const own = gates.map((gate, m): [string, Tensor] => [nameOf(modules[m]!, 'gate'), float32(Float32Array.from(gate), [1, 6])]); // prettier-ignore
  const session = await model.session({ adapters: { adapter: new Adapter(config, new Map([...tensors, ...own])) } });
  const { logits } = await session.run({ x: given.get('x')! }, { adapter: 'adapter' });
  await session.release();
  const labels = given.get('labels')!.data as BigInt64Array;
  const losses = [0, 2, 4].map((row) => {
    const scores = Array.from(logits!.data as Float32Array).slice(3 * row, 3 * row + 3);
    return Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - scores[Number(labels[row])]!;
  });
  return losses.reduce((sum, loss) => sum + loss, 0) / 3;
}

it('moves ranks from where held-out examples miss them least', async () => {
  const model = await open();
  const [before, after] = [await trained(model, 100), await trained(model, 3)];
  const begun = modules.map(() => [1, 1, 0, 0, 0, 0]);
  const all = await lossOf(model, before, begun);
  const found: { m: number; k: number; importance: number }[] = [];
  for (const m of modules.keys())
    for (const k of [0, 1]) {
      const without = begun.map((gate, i) => gate.map((each, j) => (i === m && j === k ? 0 : each)));
      const alone = begun.map((gate, i) => gate.map((_, j) => Number(i === m && j === k)));
      found.push({ m, k, importance: (await lossOf(model, before, without)) - all - (await lossOf(model, before, alone)) }); // prettier-ignore
    }
  const ascending = found.toSorted((one, other) => one.importance - other.importance);
  const closed = ascending.slice(0, 3);
  // Those that matter least are well apart from the next, so that rounding does not choose.
  expect(ascending[3]!.importance - ascending[2]!.importance).toBeGreaterThan(1e-5);
  const expected = begun.map((gate) => [...gate]);
  for (const { m, k } of closed) expected[m]![k] = 0;
  const sumOf = (m: number): number => found.reduce((sum, each) => sum + (each.m === m ? each.importance : 0), 0);
  const keeping = [...modules.keys()].filter((m) => closed.every((each) => each.m !== m)).sort((one, other) => sumOf(other) - sumOf(one)); // prettier-ignore
  const grown = closed.map((_, i) => keeping[i % keeping.length]!);
  for (const m of grown) expected[m]![expected[m]!.indexOf(0)] = 1;
  expect(modules.map((module) => [...numbers(after, module, 'gate')])).toEqual(expected);
  // New ones begin as LoRA's do, and change nothing yet; the others are as they were.
  modules.forEach((module, m) => {
    const [B, old] = [after, before].map((each) => numbers(each, module, 'lora_B')) as [Float32Array, Float32Array];
    B.forEach((each, i) => {
      expect(each).toBe(expected[m]![i % 6] === 1 && begun[m]![i % 6] === 0 ? 0 : old[i]);
    });
  });
  const { adapter: plain, errors } = await convertToLora(after, model, { r: 6 });
  expect([...errors.values()]).toEqual([0, 0, 0, 0]);
  // Closed ones are not in plain LoRA.
  const ranks = modules.map((module) => plain.tensors.get(nameOf(module, 'lora_A.weight'))!.dims[0]!);
  expect(ranks).toEqual(modules.map((_, m) => [0, 1].filter((k) => expected[m]![k] === 1).length || 1));
});

it('leaves no checkpoint of what a review that fails has tried', async () => {
  const failing: Tuner = {
    ...allocatingLora,
    training: () => ({
      review: ({ step }) => (step < 2 ? Promise.resolve() : Promise.reject(new Error('no loss'))),
    }),
  };
  const plugins = [definePlugin({ name: 'failing', tuners: [failing] })];
  const model = await openModel(path.join(folder, 'model.onnx'), { plugins });
  const checkpoints = { folder: mkdtempSync(path.join(tmpdir(), 'onnx-lora-review-')), every: 2 };
  const lora = { tuner: settings.name, targetModules: ['up'] };
  const run = await train(model, { task: await memorising(folder), lora, steps: 4, batchSize: 3, checkpoints });
  await expect(run.done).rejects.toThrow('no loss');
  expect(readdirSync(checkpoints.folder).filter((name) => name.startsWith('step'))).toEqual(['step-2']);
  rmSync(checkpoints.folder, { recursive: true });
});

it('needs examples that are held out', async () => {
  const { tensors } = await readSafetensors(path.join(folder, 'inputs.safetensors'));
  const [x, labels] = [tensors.get('x')!, tensors.get('labels')!];
  const task = taskOf(6, { x }, { labels }, (g, { logits }, targets) => crossEntropy(g, logits!, targets['labels']!)); // prettier-ignore
  const run = train(await open(), { task, lora: { tuner: settings, targetModules: ['up'] }, steps: 1 });
  await expect(run).rejects.toThrow('The task holds no data out, and the tuner "allocating-lora" goes by them.');
});
