/** @file Runs that were stopped go on to the same bytes, whatever a method remembers from step to step. */

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { float32, type LoraOptions, openModel, train, type TrainOptions } from '@onnx-lora/sdk';
import { afterAll, describe, expect, it } from 'vitest';
import { memorising, taskOf } from '../fixtures/memorise.ts';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { checkedTuners } from '../fixtures/checkedTuners.ts';
import { methodsPlugin, optimizers, tuners } from './plugin.ts';

const folder = path.join(import.meta.dirname, '../../../test/fixtures/cases/methods-sora');
const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-resumed-'));
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

type Row = Partial<TrainOptions> & { readonly tuner?: LoraOptions['tuner'] };

/** Steps of a run, and the one after which it is stopped: between two restarts. */
const [STEPS, STOPPED] = [9, 4];

/** Tuners with hooks around steps or random draws, and optimizers. */
const rows: readonly Row[] = [
  { tuner: { name: 'adalora', init_r: 4, target_r: 2, tinit: 1, tfinal: 2, total_step: STEPS } },
  { tuner: { name: 'aflora', r: 2, total_step: STEPS } },
  { tuner: { name: 'allocating-lora', r: 2, max_r: 3, review_every: 3, moved: 2 } },
  { tuner: { name: 'cola', r: 2, restart_every: 3 } },
  { tuner: { name: 'cola', r: 2, restart_every: 3 }, optimizer: 'schedule-free-adamw' },
  { tuner: { name: 'dylora', r: 4 } },
  { tuner: { name: 'dylora', r: 4, frozen: true } },
  { tuner: { name: 'ewc', r: 2 } },
  { tuner: { name: 'gs-lora', r: 2 } },
  { tuner: { name: 'kasa', r: 2 } },
  { tuner: { name: 'mixlora', r: 2, feedforward_modules: ['up', 'down'] } },
  { tuner: { name: 'monteclora', r: 2 } },
  { tuner: { name: 'mora', r: 2, lora_dropout: 0.3 } },
  { tuner: { name: 'o-lora', r: 2 } },
  { tuner: { name: 'oft', oft_block_size: 4, coft: true } },
  { tuner: { name: 'osf' } },
  { tuner: { name: 'periodic-lora', r: 2, restart_every: 3 } },
  { tuner: { name: 'pvera', r: 4 } },
  { tuner: { name: 'relora', r: 2, restart_every: 3 } },
  { tuner: { name: 'relora', r: 2, restart_every: 3 }, ema: true, schedule: { name: 'jagged_cosine', every: 3 } },
  { tuner: { name: 'sora', r: 4, sparse_lambda_2: 0.05 } },
  { tuner: { name: 'velora', r: 2 } },
  ...optimizers.map(({ name }) => ({ optimizer: name })),
];

it.each(rows)('%j', async ({ tuner, ...own }) => {
  const model = await openModel(path.join(folder, 'model.onnx'), { plugins: [methodsPlugin] });
  const targetModules = ['up', 'down'];
  const lora = tuner === undefined ? { r: 4, targetModules, modulesToSave: ['head'] } : { tuner, targetModules };
  const all: TrainOptions = { task: await memorising(folder), batchSize: 3, lora, lr: 0.02, steps: STEPS, ...own };
  const whole = (await (await train(model, all)).done).adapter;
  const name = JSON.stringify({ tuner, ...own });
  const checkpoints = { folder: path.join(scratch, name), every: STOPPED };
  const stopped = path.join(scratch, `${name}-stopped`);
  const run = await train(model, { ...all, checkpoints });
  for await (const event of run) if (event.type === 'checkpoint' && event.step === STOPPED) cpSync(checkpoints.folder, stopped, { recursive: true }); // prettier-ignore
  await run.done;
  const again = await train(model, { ...all, checkpoints: { ...checkpoints, folder: stopped }, resume: true });
  expect([...(await again.done).adapter.tensors]).toEqual([...whole.tensors]);
});

describe('a run of no steps gives back the adapter that it starts from', () => {
  it.each(checkedTuners)('%s', async (_, tuner, own) => {
    const published = await publishModel(path.join(scratch, 'linear'), { model: linearNet() });
    const model = await openModel(published, { plugins: [methodsPlugin] });
    const lora = { tuner: { name: tuner.name, ...own }, targetModules: ['encoder.0', 'encoder.1'] };
    // With another seed than the run's, so that what the run draws itself is other numbers.
    const from = await randomAdapter(model, { lora, seed: 5 });
    const x = float32(new Float32Array(16).fill(1), [2, 8]);
    const task = taskOf(2, { x }, {}, (g, { logits }) => g.ReduceMean(logits!, [0, 1], false), true);
    const { adapter } = await (await train(model, { task, from, steps: 0, seed: 1 })).done;
    expect(new Map(adapter.tensors)).toEqual(new Map(from.tensors));
  });
});

it('is held of every tuner that does something around steps', () => {
  const held = new Set(rows.map(({ tuner }) => typeof tuner === 'object' && tuner.name));
  // Those that only check their settings have no hooks.
  const active = tuners.filter((tuner) => {
    const settings = { ...tuner.defaults, ...(tuner.name === 'aflora' ? { total_step: STEPS } : {}) };
    return Object.keys(tuner.training?.(settings) ?? {}).length > 0;
  });
  expect(active.filter(({ name }) => !held.has(name)).map(({ name }) => name)).toEqual([]);
});
