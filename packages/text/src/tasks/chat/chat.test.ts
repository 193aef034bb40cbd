/** @file The task chat on a small model that guesses each token from the one before, from files to what is measured. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluate, type Model, train } from '@onnx-lora/sdk';
import type { PreparedTask } from '@onnx-lora/sdk/tasks';
import { checkTask } from '@onnx-lora/testing';
import { openTokenizer } from '@onnx-lora/sequences';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chatFixtures, openBigrams, TOKENS } from '../../fixtures/bigrams.ts';
import type { GivenConversation } from '../../data/readConversations.ts';
import { chat, type ChatOptions, chatTask } from './chat.ts';
import { narrowed } from './runBatches.ts';
import { NOT_LEARNED, type SftExample, type SftRow } from './sftRows.ts';

const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-chat-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let model: Model;
let short: Model;
let bare: Model;
beforeAll(async () => {
  model = await openBigrams(join(folder, 'whole'), { length: 512, files: ['tokenizer.json', 'tokenizer_config.json'] });
  short = await openBigrams(join(folder, 'short'), { length: 24, files: ['tokenizer.json', 'tokenizer_config.json'] });
  bare = await openBigrams(join(folder, 'bare'), { length: 512, files: ['tokenizer.json'] });
});

const say = (...said: readonly string[]): GivenConversation => ({
  messages: said.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
});
const conversations = Array.from({ length: 24 }, (_, i) => say(`Number ${i}?`, i % 2 === 0 ? 'even' : 'odd'));

/** The rows of what is trained on, as text: what is learned in brackets. */
async function learned(on: Model, data: readonly GivenConversation[], options: ChatOptions = {}): Promise<string[]> {
  const prepared = await chat(data, options).prepare(on);
  return Promise.all(Array.from({ length: prepared.train.length }, (_, i) => rowOf(prepared, i).then(shown)));
}
const rowOf = async (prepared: PreparedTask<SftExample>, i: number): Promise<SftRow> => (await prepared.train.get(i)).row; // prettier-ignore

const tokenizer = await openTokenizer({ name: 'tiny', folder: chatFixtures, inputs: {}, outputs: {} });

/** A row with brackets around each token that is learned. */
function shown({ ids, labels }: SftRow): string {
  return ids
    .map((id, i) => {
      const token = tokenizer.tokenOf(id)!.replaceAll('Ġ', ' ').replaceAll('Ċ', '\n');
      if (i > 0 && labels[i - 1] !== NOT_LEARNED) expect(labels[i - 1]).toBe(id);
      return i > 0 && labels[i - 1] !== NOT_LEARNED ? `[${token}]` : token;
    })
    .join('')
    .replaceAll('][', '');
}

describe('chat', () => {
  test('is a task as others are', async () => {
    expect(await checkTask(chat(conversations, { validation: 0.25 }), model, { lora: { targetModules: ['up_proj'], r: 2 } })).toEqual([]); // prettier-ignore
  });

  test('is measured during training by no more scores than are learned from, nor more rows than have room', async () => {
    const task = chat(conversations, { validation: 0.25 });
    const prepared = await task.prepare(model);
    const validation = prepared.validation!;
    const all = await Promise.all(Array.from({ length: validation.length }, (_, i) => validation.get(i)));
    const batch = await prepared.collate(all);
    const session = await model.session();
    const whole = prepared.metrics();
    const logits = await session.run(batch.inputs);
    whole.update(logits, batch.targets);
    const { metrics } = await evaluate(model, { task, batchSize: 5, threads: 1 });
    expect(whole.result()['loss']).toBeCloseTo(metrics.loss, 4);
    expect(whole.result()['bytePerplexity']).toBeCloseTo(metrics.bytePerplexity, 3);
    await session.release();
    // With so large a vocabulary a run has one row.
    for (const [size, rows] of [
      [TOKENS, all.length],
      [2 ** 26, 1],
    ] as const) {
      // prettier-ignore
      const { model: less, batches } = narrowed(size);
      const own = less(model);
      const narrow = await own.session();
      const parts = prepared.metrics();
      for (const { inputs, targets } of batches(batch, own)) {
        const outputs = await narrow.run(inputs);
        expect(outputs['logits']!.dims[0]).toBe(rows);
        expect(outputs['logits']!.dims[1]).toBeLessThan(logits['logits']!.dims[1]! / 2);
        parts.update(outputs, targets);
      }
      await narrow.release();
      for (const [name, value] of Object.entries(whole.result())) expect(parts.result()[name]).toBeCloseTo(value, 6);
    }
  });

  test('teaches answers', async () => {
    const task = chat(conversations, { validation: 0.25 });
    const before = await evaluate(model, { task, batchSize: 5, threads: 1 });
    const ask = { task, steps: 30, lr: 0.1, lora: { targetModules: ['up_proj'], r: 8 }, threads: 1 };
    const run = await train(model, { ...ask, batchSize: 12, evaluateEvery: 30 });
    const during: Partial<Record<string, number>>[] = [];
    for await (const event of run) if (event.type === 'evaluation') during.push(event.metrics);
    const after = await evaluate(model, { task, adapter: (await run.done).adapter, batchSize: 6, threads: 1 });
    for (const [name, value] of Object.entries(after.metrics)) expect(during.at(-1)![name]).toBeCloseTo(value, 4);
    expect(Object.keys(after.metrics)).toEqual(['loss', 'perplexity', 'bytePerplexity', 'accuracy']);
    expect(before.metrics.loss).toBeCloseTo(Math.log(TOKENS), 0);
    expect(after.metrics.loss).toBeLessThan(4.5);
    expect(after.intervals!['loss']![0]).toBeLessThan(after.metrics.loss);
  });

  test('learns all answers, the last, or everything', async () => {
    const two = [say('a', 'b', 'c', 'd')];
    const [user, answer] = ['<|im_start|>user\n', '<|im_start|>assistant\n'];
    const asked = `<s>${user}a<|im_end|>\n${answer}`;
    expect(await learned(model, two)).toEqual([`${asked}[b<|im_end|>]\n${user}c<|im_end|>\n${answer}[d<|im_end|>]\n`]);
    expect(await learned(model, two, { learn: 'last' })).toEqual([`${asked}b<|im_end|>\n${user}c<|im_end|>\n${answer}[d<|im_end|>]\n`]); // prettier-ignore
    const all = await learned(model, two, { learn: 'all' });
    expect(all[0]!.startsWith('<s>[<|im_start|>user\na')).toBe(true);
  });

  test('learns texts and what follows prompts', async () => {
    expect(await learned(model, [{ text: 'a b' }, { prompt: 'a', completion: ' b' }])).toEqual(['<s>[a b</s>]', '<s>a[ b</s>]']); // prettier-ignore
  });

  test('crops what is too long, and keeps the last answer', async () => {
    const long = 'x'.repeat(40);
    const [row] = await learned(short, [say(`${long} y`, 'yes')]);
    expect(row).toMatch(/^<s>x+ y<\|im_end\|>\n<\|im_start\|>assistant\n\[yes<\|im_end\|>\]\n$/);
    const prepared = await chat([say(`${long} y`, 'yes')]).prepare(short);
    expect(prepared.train.lengths).toEqual([24]);
    expect(prepared.warnings).toMatchObject([expect.stringMatching(/1 of 1 .* longer than 24 tokens.* record 1/)]);
    // An answer that is longer than the model loses its end.
    expect((await learned(short, [say('a', long)]))[0]).toMatch(/^<s>\n\[x+\]$/);
    // The first token behind what is gone is not learned.
    const cut = await learned(short, [say('a', long, 'b', 'c')]);
    expect(cut[0]).toMatch(/^<s>x\[x+<\|im_end\|>\]\n<\|im_start\|>user\nb.*\[c<\|im_end\|>\]\n$/s);
    // A text comes in pieces, in which each of its tokens is learned once.
    const pieces = await learned(short, [{ text: 'z'.repeat(100) }]);
    expect(pieces.map((piece) => piece.replaceAll(/[^[\]]/g, ''))).toEqual(['[]', '[]', '[]']);
    expect(pieces.flatMap((piece) => /\[(.*)\]/s.exec(piece)![1]!).join('')).toBe(`${'z'.repeat(100)}</s>`);
  });

  test('leaves out what has no answer, and says so', async () => {
    const prepared = await chat([say('a'), say('a', 'b')]).prepare(model);
    expect(prepared.train.length).toBe(1);
    expect(prepared.warnings).toMatchObject([expect.stringMatching(/1 of 2 conversations have nothing to be learned.* record 1/)]); // prettier-ignore
    await expect(chat([say('a')]).prepare(model)).rejects.toThrow(/nothing to learn.*record 1.*learn=all/);
  });

  test('asks for a template where there is none', async () => {
    await expect(chat([say('a', 'b')]).prepare(bare)).rejects.toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('chat_template.jinja') as string }), // prettier-ignore
    );
    expect(await learned(bare, [{ prompt: 'a', completion: ' b' }])).toEqual(['<s>a[ b]']);
  });

  test('refuses a model that writes nothing', async () => {
    const encoder = { name: 'encoder', folder: chatFixtures, inputs: model.inputs, outputs: {} };
    await expect(chat(conversations).prepare(encoder)).rejects.toThrow(/writes no text.*logits/);
  });

  test('does not learn an answer of the weight 0', async () => {
    const { messages } = say('a', 'b', 'c', 'd');
    const weighed = messages!.map((message, i) => (i === 1 ? { ...message, weight: 0 } : message));
    expect((await learned(model, [{ messages: weighed }]))[0]).toMatch(/\nb<\|im_end\|>.*\[d<\|im_end\|>\]\n$/s);
  });

  test('is made by the command line', async () => {
    const file = join(folder, 'data.jsonl');
    writeFileSync(file, conversations.map((each) => JSON.stringify(each)).join('\n'));
    const prepared = await chatTask.create({ data: file, holdOut: 0.25, seed: 0, settings: { learn: 'last' } }).prepare(model); // prettier-ignore
    expect([prepared.train.length, prepared.validation!.length]).toEqual([18, 6]);
    expect(() => chatTask.settings!.read({ learn: 'nothing' })).toThrow(/learn/);
  });
});
