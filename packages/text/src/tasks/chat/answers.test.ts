/** @file A model that was taught to answer: what its report shows, and what it says to the prompts of a file. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type Adapter, evaluate, type Model, openPredictor, train } from '@onnx-lora/sdk';
import type { Answer, ReportClip, ReportSection } from '@onnx-lora/sdk/tasks';
import { openTokenizer } from '@onnx-lora/sequences';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chatFixtures, openBigrams } from '../../fixtures/bigrams.ts';
import type { GivenConversation } from '../../data/readConversations.ts';
import { promptWithReference } from './promptWithReference.ts';
import { chat } from './chat.ts';

const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-answers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tokenizer = await openTokenizer({ name: 'tiny', folder: chatFixtures, inputs: {}, outputs: {} });

/** A model that ends a text where a turn ends. */
const bigrams = (files: readonly string[], name: string): Promise<Model> => openBigrams(join(folder, name), { length: 512, files, config: { eos_token_id: tokenizer.idOf('<|im_end|>') } }); // prettier-ignore

const say = (...said: readonly string[]): GivenConversation => ({
  messages: said.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
});

let model: Model;
let plain: Model;
let adapter: Adapter;
const task = chat(
  Array.from({ length: 20 }, (_, i) => say(`Number ${i}?`, 'Yes')),
  { validation: 0.5 },
);
beforeAll(async () => {
  model = await bigrams(['tokenizer.json', 'tokenizer_config.json'], 'chats');
  plain = await bigrams(['tokenizer.json'], 'plain');
  const asked = { task, steps: 60, lr: 0.2, lora: { targetModules: ['up_proj', 'lm_head'], r: 4 }, threads: 1 };
  ({ adapter } = await (await train(model, asked)).done);
}, 60_000);

async function all(given: AsyncIterable<Answer>): Promise<Answer[]> {
  const found: Answer[] = [];
  for await (const answer of given) found.push(answer);
  return found;
}

/** Answers to the prompts of a file. */
async function answers(given: string, on: Model = model, own?: Adapter): Promise<Answer[]> {
  const file = join(folder, 'asked.jsonl');
  writeFileSync(file, given);
  await using predictor = await openPredictor(on, { task: 'chat', threads: 1, settings: { maxNewTokens: 5 }, ...(own && { adapter: own }) }); // prettier-ignore
  return await all(predictor.predict([file], { batchSize: 2 }));
}
const rows = (...given: readonly object[]): string => given.map((row) => JSON.stringify(row)).join('\n');

describe('answers', () => {
  test('before and after are in the report', async () => {
    const prepared = await task.prepare(model);
    const request = { model, adapter, batchSize: 4, options: { threads: 1 }, run: () => Promise.reject(new Error()) };
    // Metrics are the run's, and stand in its report once.
    const [section, ...others] = await prepared.report!(request);
    expect(others).toEqual([]);
    const { clips } = section as Extract<ReportSection, { kind: 'clips' }>;
    expect(clips).toHaveLength(6);
    const line = ({ lines }: ReportClip, label: string): string =>
      lines.find((each) => each.label === label)!.pieces.map(({ text }) => text).join(''); // prettier-ignore
    for (const clip of clips) {
      expect(line(clip, 'asked')).toMatch(/^Number \d+\?$/);
      expect([line(clip, 'wanted'), line(clip, 'after')]).toEqual(['Yes', 'Yes']);
      expect(line(clip, 'before')).not.toBe('Yes');
    }
    // They are spread over what is held out.
    const held = [0, 1, 3, 5, 6, 8].map((i) => prepared.validation!.nameOf!(i));
    expect(clips.map(({ title }) => title)).toEqual(held);
  });

  test('are measured where that is asked for', async () => {
    const some = chat(
      [...Array.from({ length: 4 }, (_, i) => say(`Number ${i}?`, 'Yes')), say('Number 9?', 'Yes and no')],
      { answers: 5 },
    );
    const { metrics, intervals } = await evaluate(model, { task: some, adapter, threads: 1, batchSize: 2 });
    // "yes" of "yes and no": all of what is said, a third of what is wanted.
    expect(metrics).toMatchObject({ exactMatch: 0.8, f1: 0.9, rougeL: 0.9 });
    expect(intervals!['f1']![0]).toBeGreaterThanOrEqual(0.5);
    const base = await evaluate(model, { task: some, threads: 1, limit: 2 });
    expect(base.metrics['exactMatch']).toBe(0);
  });

  test('are given to conversations, prompts and lines of a file, in their order', async () => {
    const asked = rows({ id: 'a', ...say('1?') }, say('1?', 'No', '2?', 'No'), {
      prompt: [{ role: 'user', content: '3?' }],
    });
    const given = await answers(asked, model, adapter);
    expect(given.map(({ prediction }) => prediction)).toEqual([
      { id: 'a', text: 'Yes', finish: 'end' },
      { id: '2', text: 'Yes', finish: 'end' },
      { id: '3', text: 'Yes', finish: 'end' },
    ]);
    expect(given.at(-1)).toMatchObject({ source: 0, read: asked.length, total: asked.length });
    const [base] = await answers(rows(say('1?')));
    expect(base!.prediction['text']).not.toBe('Yes');
  });

  test('go on behind those that are there, from what streams in', async () => {
    await using predictor = await openPredictor(model, { task: 'chat', adapter, threads: 1 });
    const lines = Readable.from([Buffer.from('One?\nTwo?\nThree?\n')]);
    const rest = await all(predictor.predict([lines], { skip: 2 }));
    expect(rest.map(({ prediction }) => prediction)).toEqual([{ id: '3', text: 'Yes', finish: 'end' }]);
  });

  test('are told piece by piece, where that is asked for', async () => {
    await using predictor = await openPredictor(model, { task: 'chat', threads: 1, settings: { maxNewTokens: 6 } });
    const lines = (): Readable => Readable.from([Buffer.from('One?\nTwo?\n')]);
    const whole = await all(predictor.predict([lines()]));
    const told = await all(predictor.predict([lines()], { parts: true }));
    expect(told.filter(({ isPart }) => !isPart).map(({ prediction }) => prediction)).toEqual(whole.map(({ prediction }) => prediction)); // prettier-ignore
    for (const { prediction } of whole) {
      const pieces = told.filter(({ isPart, prediction: { id } }) => isPart && id === prediction['id']);
      expect(pieces.length).toBeGreaterThan(1);
      expect(pieces.map((piece) => piece.prediction['text']).join('')).toBe(prediction['text']);
    }
  });

  test('of a model without a template are texts that go on', async () => {
    expect((await answers(rows({ prompt: 'a' }, { text: 'b' }), plain)).map(({ prediction }) => prediction['id'])).toEqual(['1', '2']); // prettier-ignore
    await expect(answers(rows(say('a')), plain)).rejects.toThrow(/line 1 is a conversation.*chat_template/);
  });

  test('say which row asks nothing, or too much', async () => {
    await expect(answers(rows({ answer: 'a' }))).rejects.toThrow(/line 1: there is nothing to answer/);
    await expect(answers(rows({ messages: [{ role: 'assistant', content: 'a' }] }))).rejects.toThrow(/line 1: nothing is asked/); // prettier-ignore
    await expect(answers(rows({ prompt: 'x'.repeat(600) }))).rejects.toThrow(/line 1: the prompt has \d+ tokens, and the model reads 512/); // prettier-ignore
  });

  test('are asked for by what stands before them', () => {
    const rules = { tokenizer, template: undefined };
    // As texts begin in training, without what ends them.
    expect(promptWithReference({ prompt: 'a', completion: ' b', where: '' }, rules)).toEqual({ ids: [tokenizer.idOf('<s>'), ...tokenizer.tokens('a').ids], asked: 'a', wanted: ' b' }); // prettier-ignore
    expect(promptWithReference({ prompt: '', completion: 'b', where: '' }, rules)).toBeUndefined();
  });
});
