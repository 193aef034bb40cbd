/** @file The task preferences on a small model that guesses each token from the one before, from files to what is learned. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AdapterSession, evaluate, type Model, openPredictor, train, type TrainOptions } from '@onnx-lora/sdk';
import { checkTask } from '@onnx-lora/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBigrams } from '../../fixtures/bigrams.ts';
import { narrowed } from '../chat/runBatches.ts';
import { type GivenPreference, readPreferences } from '../../data/readPreferences.ts';
import type { PreferenceLoss } from './preferenceLoss.ts';
import { preferences, preferencesTask } from './preferences.ts';

const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-preferences-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let model: Model;
beforeAll(async () => {
  model = await openBigrams(join(folder, 'model'));
});

const pairs = Array.from({ length: 12 }, (_, i): GivenPreference => ({ prompt: `Number ${i}?`, chosen: ' yes', rejected: ' no, never' })); // prettier-ignore
const lora = { targetModules: ['up_proj'], r: 4 };
const losses: readonly PreferenceLoss[] = ['dpo', 'ipo', 'orpo', 'kto'];

describe('preferences', () => {
  test.each(losses)('%s is a task as others are', async (loss) => {
    expect(await checkTask(preferences(pairs, { loss, validation: 0.25 }), model, { lora: { ...lora, r: 2 } })).toEqual([]); // prettier-ignore
  });

  test.each(losses)('%s learns what is preferred', async (loss) => {
    const task = preferences(pairs, { loss, validation: 0.25 });
    const before = await evaluate(model, { task, threads: 1 });
    const asked: TrainOptions = { task, steps: 20, batchSize: 4, lr: 0.05, lora, threads: 1, evaluateEvery: 20 };
    const { adapter, metrics: during } = await (await train(model, asked)).done;
    const { metrics: after, intervals } = await evaluate(model, { task, adapter, threads: 1 });
    // Metrics during the run have the same reference.
    for (const [name, value] of Object.entries(during!)) expect(after[name], name).toBeCloseTo(value, 4);
    expect(after.loss).toBeLessThan(before.metrics.loss);
    expect(after.margin).toBeGreaterThan(before.metrics.margin + 0.05);
    expect(intervals!['margin']![0]).toBeLessThanOrEqual(after.margin);
    // Compared with itself a model has no rewards.
    if (loss === 'dpo') expect(before.metrics).toEqual({ loss: Math.log(2), accuracy: 0, margin: 0, chosen: 0, rejected: 0 }); // prettier-ignore
    if (loss !== 'kto') expect(after['accuracy']).toBe(1);
  });

  test('examples of which few have room are measured a few at a time, with both of their rows', async () => {
    const prepared = await preferences(pairs, { loss: 'orpo' }).prepare(model);
    const batch = await prepared.collate(await Promise.all([0, 1, 2].map((i) => prepared.train.get(i))));
    const { model: less, batches } = narrowed(2 ** 26, 2);
    const own = less(model);
    const [whole, parts] = [prepared.metrics(), prepared.metrics()];
    await using session = await model.session();
    await using narrow = await own.session() as AdapterSession; // prettier-ignore
    whole.update(await session.run(batch.inputs), batch.targets);
    const all = batches(batch, own);
    expect(all).toHaveLength(3);
    for (const { inputs, targets } of all) parts.update(await narrow.run(inputs), targets);
    for (const [name, value] of Object.entries(whole.result())) expect(parts.result()[name]).toBeCloseTo(value, 6);
  });

  test('continues to the same bytes', async () => {
    const asked: TrainOptions = { task: preferences(pairs, { loss: 'kto' }), steps: 6, batchSize: 5, lr: 0.05, lora, threads: 1 }; // prettier-ignore
    const whole = await (await train(model, asked)).done;
    const checkpoints = { folder: join(folder, 'run'), every: 2 };
    await (
      await train(model, { ...asked, checkpoints, stopAfter: 3 })
    ).done;
    const told: number[] = [];
    const rest = await (await train(model, { ...asked, checkpoints, resume: true, onBegin: (done, of) => told.push(done / of) })).done; // prettier-ignore
    expect([...rest.adapter.tensors].map(([, { data }]) => data)).toEqual([...whole.adapter.tensors].map(([, { data }]) => data)); // prettier-ignore
    expect(told.at(-1)).toBe(1);
  });

  test('is compared with the adapter that is named', async () => {
    const asked = { steps: 4, lr: 0.05, lora, threads: 1 };
    const { adapter } = await (await train(model, { ...asked, task: preferences(pairs) })).done;
    const own = await evaluate(model, { task: preferences(pairs, { reference: adapter }), adapter, threads: 1 });
    expect(own.metrics).toMatchObject({ margin: 0, loss: Math.log(2) });
    const onward = { steps: 1, threads: 1, from: adapter };
    await expect(train(model, { ...onward, task: preferences(pairs) })).rejects.toThrow(
      /begins with an adapter.*"base"/s,
    );
    const near = await train(model, { ...onward, task: preferences(pairs, { reference: adapter }) });
    expect((await near.done).loss).toBeCloseTo(Math.log(2), 5);
  });

  test('pairs of answers are two answers to KTO, each beside one to another prompt', async () => {
    const prepared = await preferences(pairs.slice(0, 2), { loss: 'kto' }).prepare(model);
    const all = await Promise.all([0, 1, 2, 3].map((i) => prepared.train.get(i)));
    expect(all.map(({ isGood }) => isGood)).toEqual([true, false, true, false]);
    const learned = all.map(({ rows }) => rows.map(({ labels }) => labels.filter((label) => label >= 0).length));
    // " yes" and its end; " no, never" and its end.
    const [yes, no] = [learned[0]![0], learned[1]![0]];
    expect(yes).toBeLessThan(no!);
    expect(learned).toEqual([[yes, yes], [no, yes], [yes, yes], [no, yes]]); // prettier-ignore
    await expect(preferences([pairs[0]!], { loss: 'kto' }).prepare(model)).rejects.toThrow(
      /all answers are to one prompt/,
    );
  });

  test('answers with labels are for KTO', async () => {
    const labelled = pairs.map(({ prompt, chosen }, i) => ({ prompt, completion: chosen, label: i % 2 === 0 }));
    const prepared = await preferences(labelled, { loss: 'kto' }).prepare(model);
    expect((await prepared.train.get(1)).isGood).toBe(false);
    await expect(preferences(labelled).prepare(model)).rejects.toThrow(/record 1.*loss=kto/);
  });

  test('answers what a file asks, as the task chat does', async () => {
    const file = join(folder, 'asked.jsonl');
    writeFileSync(file, '{"question":"a"}\n{"question":"b"}\n');
    const settings = { 'columns.prompt': 'question', maxNewTokens: 2 };
    await using predictor = await openPredictor(model, { task: 'preferences', threads: 1, settings });
    const finishes: unknown[] = [];
    for await (const { prediction } of predictor.predict([file])) finishes.push(prediction['finish']);
    expect(finishes).toEqual(['length', 'length']);
  });

  test('is made by the command line', async () => {
    const file = join(folder, 'data.jsonl');
    writeFileSync(file, pairs.map((each) => JSON.stringify(each)).join('\n'));
    const settings = { loss: 'ipo', beta: 0.2, maxLength: 64 };
    const prepared = await preferencesTask.create({ data: file, holdOut: 0.25, seed: 0, settings }).prepare(model);
    expect([prepared.train.length, prepared.validation!.length]).toEqual([9, 3]);
    expect(() => preferencesTask.settings!.read({ loss: 'ppo' })).toThrow(/dpo, ipo, orpo, kto/);
  });
});

describe('the data', () => {
  const read = async (...rows: GivenPreference[]): Promise<unknown> => (await readPreferences(rows)).train;
  const user = { role: 'user', content: 'a' };
  const says = (content: string): { role: string; content: string } => ({ role: 'assistant', content });

  test('may have the prompt within the answers', async () => {
    // As TRL's extract_prompt, which leaves the space to the answers.
    expect(await read({ chosen: 'The sky is blue.', rejected: 'The sky is green.' })).toMatchObject([{ prompt: 'The sky is', answers: [' blue.', ' green.'] }]); // prettier-ignore
    expect(await read({ chosen: [user, says('b')], rejected: [user, says('c')] })).toMatchObject([{ prompt: [user], answers: [[says('b')], [says('c')]] }]); // prettier-ignore
  });

  test('says what is wrong with a row', async () => {
    await expect(read({ prompt: 'a', chosen: 'b' })).rejects.toThrow(/record 1: it has neither/);
    await expect(read({ prompt: 'a', chosen: 'b', rejected: 'b' })).rejects.toThrow(
      /record 1: the chosen answer is the rejected/,
    );
    await expect(read({ chosen: 'b', rejected: 'c' })).rejects.toThrow(/record 1: the prompt is empty/);
    await expect(read({ prompt: 'a', completion: 'b', label: 'good' as never })).rejects.toThrow(
      /record 1: the label.*"good"/,
    );
    await expect(read({ prompt: [user], chosen: 'b', rejected: 'c' })).rejects.toThrow(/record 1/);
  });

  test('are read from tables, messages in their cells too', async () => {
    const file = join(folder, 'pairs.csv');
    const cell = (value: unknown): string => `"${JSON.stringify(value).replaceAll('"', '""')}"`;
    writeFileSync(file, `question,chosen,rejected,split\n${cell([user])},${cell([says('b')])},${cell([says('c')])},train\nq, b, c,validation\n`); // prettier-ignore
    const data = await readPreferences(file, { columns: { prompt: 'question' } });
    expect(data.train).toMatchObject([{ prompt: [user], answers: [[says('b')], [says('c')]] }]);
    expect(data.validation).toHaveLength(1);
    await expect(readPreferences(file, { columns: { rejected: 'worse' } })).rejects.toThrow(/no column "worse"/);
  });

  test('keeps answers to one prompt together', async () => {
    const many = Array.from({ length: 40 }, (_, i): GivenPreference => ({ prompt: `p${i % 8}`, chosen: `c${i}`, rejected: `r${i}` })); // prettier-ignore
    const { train: kept, validation } = await readPreferences(many, { validation: 0.25 });
    const prompts = new Set(kept.map(({ prompt }) => prompt));
    expect(validation!.every(({ prompt }) => !prompts.has(prompt))).toBe(true);
  });
});
