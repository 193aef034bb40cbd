/** @file Tasks on texts from a file to answers: training, measuring, answering line by line and row by row. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Adapter,
  evaluate,
  type Feeds,
  float32,
  int64,
  type Model,
  modelForAdapter,
  openModel,
  train,
} from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import type { Answer, Predictor, ReportRequest, Task } from '@onnx-lora/sdk/tasks';
import { openTokenizer } from '@onnx-lora/sequences';
import { beforeAll, describe, expect, test } from 'vitest';
import { dataFolder } from '../../../sequences/src/fixtures/dataFolder.ts';
import { Bm25, plainWords } from '../baselines/bm25.ts';
import { textPlugin } from '../plugin.ts';
import { openTextEmbedder, textRetrieval } from './textEmbedding.ts';
import {
  textClassification,
  textClassificationTask,
  textLabelling,
  textLabellingTask,
  textRegression,
  textRegressionTask,
} from './textTasks.ts';

let model: Model;
beforeAll(async () => {
  const folder = fileURLToPath(new URL('../../../../docs/examples/models/minilm-tiny', import.meta.url));
  model = await openModel(folder, { plugins: [textPlugin] });
});

const verbs = { repair: ['fix', 'repair', 'clean', 'wash'], buy: ['buy', 'purchase', 'find', 'offer'], send: ['send', 'ship', 'hide', 'lift'] }; // prettier-ignore
const things = ['phone', 'laptop', 'bike', 'sofa', 'car', 'jacket', 'rug', 'cup', 'letter', 'gift'];
type Kind = keyof typeof verbs;
const kinds = Object.keys(verbs) as Kind[];

/** Sentences with the kind of their verb, and how many words they have. */
function sentences(count: number, seed: number): { text: string; kind: Kind; words: number }[] {
  const random = new Random(seed);
  const one = <T>(list: readonly T[]): T => list[random.index(list.length)]!;
  return Array.from({ length: count }, () => {
    const kind = one(kinds);
    const beginning = one(['How can I', 'I want to', 'Help me', 'We want one way to']);
    const text = `${beginning} ${one(verbs[kind])} ${one(['the', 'my', 'a'])} ${one(things)}${random.next() < 0.3 ? ', my note' : ''}.`;
    return { text, kind, words: text.split(' ').length };
  });
}

const all = sentences(240, 3);
const part = (i: number): string => (i < 180 ? 'train' : 'test');

async function trained(task: Task, steps = 80): Promise<Adapter> {
  const run = await train(model, { task, steps, batchSize: 16, lr: 1e-2, threads: 1, lora: { r: 8 } });
  return (await run.done).adapter;
}

async function answers(found: AsyncIterable<Answer>): Promise<readonly Answer[]> {
  const list: Answer[] = [];
  for await (const each of found) list.push(each);
  return list;
}

const opened = (factory: typeof textClassificationTask, adapter: Adapter): Promise<Predictor> =>
  Promise.resolve(factory.predictor(modelForAdapter<Model>(model, adapter), { adapter, load: { threads: 1 } }));

describe('classes', () => {
  test('are learned, measured, and answered about rows and lines alike', async () => {
    const rows = all.map(({ text, kind }, i) => `"${text}",${kind},${part(i)}`);
    const folder = dataFolder({ 'mails.csv': `text,label,split\n${rows.join('\n')}\n` });
    const task = textClassification(join(folder, 'mails.csv'), { evalSplit: 'test' });
    const adapter = await trained(task);
    const { metrics } = await evaluate(model, { task, adapter, threads: 1 });
    expect(metrics['accuracy']).toBeGreaterThan(0.9);
    const held = all.slice(180);
    writeFileSync(join(folder, 'new.csv'), `message\n${held.map(({ text }) => `"${text}"`).join('\n')}\n`);
    writeFileSync(join(folder, 'new.txt'), held.map(({ text }) => `${text}\n`).join(''));
    const predictor = await opened(textClassificationTask, adapter);
    try {
      const byRow = await answers(predictor.predict([join(folder, 'new.csv')]));
      const byLine = await answers(predictor.predict([join(folder, 'new.txt')]));
      expect(byRow.map(({ prediction }) => prediction)).toEqual(byLine.map(({ prediction }) => prediction));
      const right = byRow.filter(({ prediction }, i) => prediction['label'] === held[i]!.kind).length;
      expect(right / held.length).toBeCloseTo(metrics['accuracy']!, 12);
    } finally {
      await predictor.release();
    }
  });

  test('of pairs are told from both texts', async () => {
    const rows = all.map(({ text, kind }, i) => {
      const other = all[(7 * i + 1) % all.length]!;
      return `"${text}","${other.text}",${kind === other.kind ? 'same' : 'other'}`;
    });
    const folder = dataFolder({ 'pairs.csv': `sentence1,sentence2,label\n${rows.join('\n')}\n` });
    const task = await textClassification(join(folder, 'pairs.csv'), { validation: 0.25 }).prepare(model);
    const example = await task.train.get(0);
    const { inputs } = await task.collate([example]);
    // The second text has the type 1.
    const types = Array.from(inputs['token_type_ids']!.data as BigInt64Array, Number);
    expect([types[0], types.at(-1), new Set(types).size]).toEqual([0, 1, 2]);
  });
});

test('labels, any number of them', async () => {
  const rows = all.map(({ text, kind, words }) => `"${text}",${[kind, ...(words > 6 ? ['long'] : [])].join('|')}`);
  const folder = dataFolder({ 'mails.csv': `text,labels\n${rows.join('\n')}\n` });
  const task = textLabelling(join(folder, 'mails.csv'), { validation: 0.25 });
  const adapter = await trained(task);
  expect((await evaluate(model, { task, adapter, threads: 1 })).metrics['mAP']).toBeGreaterThan(0.85);
  const predictor = await opened(textLabellingTask, adapter);
  const [answer] = await answers(predictor.predict([join(folder, 'mails.csv')]));
  await predictor.release();
  expect(Object.keys(answer!.prediction)).toEqual(['id', 'labels', 'buy', 'long', 'repair', 'send']);
});

test('numbers, in their own units', async () => {
  const rows = all.map(({ text, words }, i) => `"${text}",${1000 + 100 * words},${part(i)}`);
  const folder = dataFolder({ 'mails.csv': `text,value,split\n${rows.join('\n')}\n` });
  const task = textRegression(join(folder, 'mails.csv'), { evalSplit: 'test' });
  const adapter = await trained(task, 120);
  const { metrics } = await evaluate(model, { task, adapter, threads: 1 });
  expect(metrics['spearman']).toBeGreaterThan(0.8);
  const predictor = await opened(textRegressionTask, adapter);
  const found = await answers(predictor.predict([join(folder, 'mails.csv')]));
  await predictor.release();
  const errors = found.slice(180).map(({ prediction }, i) => Number(prediction['value']) - 1000 - 100 * all[180 + i]!.words); // prettier-ignore
  expect(Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length)).toBeCloseTo(metrics['rmse']!, 3); // prettier-ignore
});

describe('retrieval', () => {
  test('of pairs lets the firsts search the seconds, as a loop over all does', async () => {
    const kinds = ['x', 'y'];
    const pairs = all
      .slice(0, 60)
      .map(({ text }, i) => `"${text} ${kinds[i % 2]}","${all[60 + i]!.text}",${part(i < 40 ? 0 : 200)}`);
    const folder = dataFolder({ 'pairs.csv': `question1,question2,split\n${pairs.join('\n')}\n` });
    const task = textRetrieval(join(folder, 'pairs.csv'), { evalSplit: 'test', loss: 'info-nce', temperature: 0.05 });
    const adapter = await trained(task, 6);
    const { metrics } = await evaluate(model, { task, adapter, threads: 1 });
    expect(metrics['queries']).toBe(20);
    const embedder = await openTextEmbedder(model, { adapters: { own: adapter }, normalize: true, threads: 1 });
    try {
      const [firsts, seconds] = await Promise.all(
        [0, 1].map((column) =>
          embedder.embed(
            pairs.slice(40).map((row) => row.split('"')[1 + 2 * column]!),
            'own',
          ),
        ),
      );
      const width = firsts!.dims[1]!;
      const cosine = (a: number, b: number): number =>
        Array.from({ length: width }, (_, i) => Number(firsts!.data[a * width + i]) * Number(seconds!.data[b * width + i])).reduce((sum, each) => sum + each, 0); // prettier-ignore
      const found = Array.from({ length: 20 }, (_, a) => {
        const right = cosine(a, a);
        return Array.from({ length: 20 }, (__, b) => b).every((b) => b === a || cosine(a, b) < right);
      });
      expect(metrics['recall@1']).toBeCloseTo(found.filter(Boolean).length / 20, 12);
    } finally {
      await embedder.release();
    }
  });
});

test('the report of pairs has a search by words beside the adapter', async () => {
  const pairs = all.slice(0, 30).map(({ text }, i) => {
    return { text, second: i % 3 === 0 ? 'we are closed' : `about ${text.split(' ').slice(-2).join(' ')} ${i}`, split: i < 6 ? 'train' as const : 'validation' as const }; // prettier-ignore
  });
  const prepared = await textRetrieval(pairs, {}).prepare(model);
  const run = ({ input_ids: ids }: Feeds) => {
    const [rows, tokens] = ids!.dims as [number, number];
    return Promise.resolve({ last_hidden_state: float32(Array.from({ length: rows * tokens * 32 }, (_, i) => Math.sin(i)), [rows, tokens, 32]) }); // prettier-ignore
  };
  const [section] = await prepared.report!({ run, batchSize: 7 } as unknown as ReportRequest);
  const held = pairs.slice(6);
  const index = new Bm25(held.map(({ second }) => plainWords(second)));
  const shares = [1, 5, 10].map((k) => {
    const right = held.filter(({ text }, i) => {
      const scores = index.scores(plainWords(text));
      return scores.filter((score, j) => j !== i && score >= scores[i]!).length < k;
    });
    return (right.length / held.length).toFixed(3);
  });
  expect(shares[0]).not.toBe(shares[2]);
  const { rows } = section as unknown as { rows: string[][] };
  expect(rows.map(([name]) => name)).toEqual(['BM25, by words', 'model before', 'with the adapter']);
  expect(rows[0]!.slice(1).map((cell) => cell.split(' ')[0])).toEqual(shares);
  expect(rows[1]!.slice(1)).toEqual(rows[2]!.slice(1));
});

test('hard negatives are further wrong answers of every query, and are searched', async () => {
  const rows = ['fix', 'buy', 'send', 'clean'].map((verb, i) => [`how can i ${verb} my ${things[i]}`, `we ${verb} a ${things[i]}`, `we hide the ${things[i]}`]); // prettier-ignore
  const table = ['train', 'test'].flatMap((split) => rows.map((row) => [...row, split].join(',')));
  const folder = dataFolder({ 'p.csv': `query,passage,negative,split\n${table.join('\n')}\n` });
  const task = textRetrieval(join(folder, 'p.csv'), { loss: 'info-nce', evalSplit: 'test' });
  const run = await train(model, { task, steps: 1, batchSize: 4, lr: 1e-9, threads: 1 });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  const embedder = await openTextEmbedder(model, { threads: 1, normalize: true });
  const [asks, right, wrong] = await Promise.all([0, 1, 2].map((column) => embedder.embed(rows.map((row) => row[column]!)))); // prettier-ignore
  await embedder.release();
  const width = asks!.dims[1]!;
  const cosine = (a: typeof asks, i: number, b: typeof asks, j: number): number =>
    Array.from({ length: width }, (_, k) => Number(a!.data[i * width + k]) * Number(b!.data[j * width + k])).reduce((sum, each) => sum + each, 0); // prettier-ignore
  const numbers = [0, 1, 2, 3];
  const cost = (scores: number[], own: number): number => Math.log(scores.reduce((sum, each) => sum + Math.exp(each / 0.1), 0)) - own / 0.1; // prettier-ignore
  const forward = numbers.map((i) => cost([...numbers.map((j) => cosine(asks, i, right, j)), ...numbers.map((j) => cosine(asks, i, wrong, j))], cosine(asks, i, right, i))); // prettier-ignore
  const backward = numbers.map((i) => cost(numbers.map((j) => cosine(asks, j, right, i)), cosine(asks, i, right, i))); // prettier-ignore
  const mean = [...forward, ...backward].reduce((sum, each) => sum + each, 0) / 8;
  expect(losses[0]).toBeCloseTo(mean, 4);

  // All passages are searched, wrong ones too.
  const { metrics } = await evaluate(model, { task, threads: 1 });
  const found = numbers.filter((i) => {
    const own = cosine(asks, i, right, i);
    return numbers.every((j) => (j === i || cosine(asks, i, right, j) < own) && cosine(asks, i, wrong, j) < own);
  });
  expect([metrics['recall@1'], metrics['queries']]).toEqual([found.length / 4, 4]);
  const some = dataFolder({ 'p.csv': 'query,passage,negative\na b,c d,e f\ng h,i j,\n' });
  await expect(textRetrieval(join(some, 'p.csv'), { validation: 0 }).prepare(model)).rejects.toThrow(/line 3: it has no hard negative, and others have/); // prettier-ignore
});

test('the loss is summed over widths, texts have what stands in front of them, and each width is measured', async () => {
  const pairs = ['fix', 'buy', 'send', 'clean'].map((verb, i) => ({ text: `${verb} my ${things[i]}`, second: `${verb} one ${things[i]}` })); // prettier-ignore
  const [temperature, sizes] = [0.1, [8, 20]];
  const prompts = { queryPrompt: 'how can i ', passagePrompt: 'the shop can ' };
  const records = pairs.flatMap((pair) => ['train' as const, 'validation' as const].map((split) => ({ ...pair, split }))); // prettier-ignore
  const task = textRetrieval(records, { loss: 'info-nce', temperature, sizes, ...prompts });
  const run = await train(model, { task, steps: 1, batchSize: 4, lr: 1e-9, threads: 1 });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);

  const embedder = await openTextEmbedder(model, { threads: 1 });
  const [asks, found] = await Promise.all([
    embedder.embed(pairs.map(({ text }) => `${prompts.queryPrompt}${text}`)),
    embedder.embed(pairs.map(({ second }) => `${prompts.passagePrompt}${second}`)),
  ]);
  await embedder.release();
  const width = asks.dims[1]!;
  const cosine = (a: number, b: number, size: number): number => {
    const [x, y] = [asks, found].map(({ data }, i) => Array.from(data.subarray((i === 0 ? a : b) * width, (i === 0 ? a : b) * width + size), Number)) as [number[], number[]]; // prettier-ignore
    const dot = (p: number[], q: number[]): number => p.reduce((sum, each, i) => sum + each * q[i]!, 0);
    return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
  };
  // Each row looks for its partner among those of the other side, and the other way round.
  const rows = [0, 1, 2, 3];
  const cost = (of: (i: number, j: number) => number): number =>
    rows.reduce((sum, i) => sum + Math.log(rows.reduce((all_, j) => all_ + Math.exp(of(i, j) / temperature), 0)) - of(i, i) / temperature, 0) / 4; // prettier-ignore
  const loss = (size: number): number => (cost((i, j) => cosine(i, j, size)) + cost((i, j) => cosine(j, i, size))) / 2;
  expect(losses[0]).toBeCloseTo(loss(width) + loss(8) + loss(20), 4);

  const { metrics } = await evaluate(model, { task, threads: 1 });
  for (const size of sizes) {
    const right = rows.filter((i) => rows.every((j) => j === i || cosine(i, j, size) < cosine(i, i, size)));
    expect((metrics as Record<string, number>)[`recall@1 of ${size}`]).toBe(right.length / 4);
  }
  await expect(train(model, { task: textRetrieval(records, { sizes: [64] }), steps: 1 }).then((each) => each.done)).rejects.toThrow(/Embeddings have 32 numbers, and sizes has 64/); // prettier-ignore
  await expect(textRetrieval(records, { sizes: [0] }).prepare(model)).rejects.toThrow(/whole numbers of at least 1, but one is 0/); // prettier-ignore
});

test('an embedding is the mean over all tokens, special ones too, as of models of sentence-transformers', async () => {
  const texts = ['Help me sell my bike.', '', 'clean'];
  const tokenizer = await openTokenizer(model);
  const embedder = await openTextEmbedder(model, { threads: 1 });
  const session = await model.session({ threads: 1 });
  try {
    const { data, dims } = await embedder.embed(texts);
    const width = dims[1]!;
    for (const [i, text] of texts.entries()) {
      const { ids } = tokenizer.framed(tokenizer.tokens(text).ids);
      const of = (value: (id: number) => number): ReturnType<typeof int64> => int64(ids.map(value), [1, ids.length]);
      const { last_hidden_state: states } = await session.run({ input_ids: of((id) => id), attention_mask: of(() => 1), token_type_ids: of(() => 0) }); // prettier-ignore
      const mean = Array.from({ length: width }, (_, j) => ids.reduce((sum, __, token) => sum + Number(states!.data[token * width + j]), 0) / ids.length); // prettier-ignore
      mean.forEach((value, j) => expect(data[i * width + j]).toBeCloseTo(value, 5));
    }
  } finally {
    await session.release();
    await embedder.release();
  }
});
