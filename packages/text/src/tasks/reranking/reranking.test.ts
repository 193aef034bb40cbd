/** @file Documents put in order: measures, BM25, and a model that learns which fit. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, type Feeds, float32, type Model, modelForAdapter, openModel, train } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import type { Answer, ReportRequest } from '@onnx-lora/sdk/tasks';
import { beforeAll, describe, expect, it, test } from 'vitest';
import { dataFolder } from '../../../../sequences/src/fixtures/dataFolder.ts';
import { Bm25, plainWords } from '../../baselines/bm25.ts';
import { textPlugin } from '../../plugin.ts';
import { type ListMeasures, listMeasures, type RankedDocument } from './rankedLists.ts';
import { openTextReranker, textReranking } from './textReranking.ts';

let model: Model;
beforeAll(async () => {
  const folder = fileURLToPath(new URL('../../../../../docs/examples/models/minilm-tiny', import.meta.url));
  model = await openModel(folder, { plugins: [textPlugin] });
});

const golden = JSON.parse(readFileSync(new URL('../../fixtures/rankings.json', import.meta.url), 'utf8')) as {
  readonly lists: ({ readonly documents: RankedDocument[] } & ListMeasures)[];
  readonly bm25: { readonly documents: string[][]; readonly queries: string[][]; readonly scores: number[][] }[];
};

test('lists are measured as by scikit-learn', () => {
  for (const { documents, ...wanted } of golden.lists) {
    const found = listMeasures(documents)!;
    for (const name of ['ndcg', 'reciprocalRank', 'recall'] as const) expect(found[name]).toBeCloseTo(wanted[name], 12);
  }
  expect(listMeasures([{ score: 1, relevance: 0 }])).toBeUndefined();
  // Equal scores rank the relevant document last.
  const same = [1, 0, 0].map((relevance) => ({ score: 0, relevance }));
  expect(listMeasures(same)).toMatchObject({ reciprocalRank: 1 / 3, ndcg: 1 / Math.log2(4) });
});

test('BM25 scores as rank_bm25 does', () => {
  for (const { documents, queries, scores } of golden.bm25) {
    const index = new Bm25(documents);
    queries.forEach((query, i) => {
      index.scores(query).forEach((score, document) => expect(score).toBeCloseTo(scores[i]![document]!, 12));
    });
  }
  expect(plainWords('Café, 2 TEAs!')).toEqual(['café', '2', 'teas']);
});

const verbs = ['repair', 'purchase', 'ship', 'wash', 'offer', 'conceal', 'raise', 'locate'];
const things = ['phone', 'laptop', 'bike', 'sofa', 'car', 'jacket', 'rug', 'cup', 'letter', 'gift'];

/** Queries with five documents each; the one with the verb repair fits. */
function pairs(queries: number): { query: string; document: string; relevance: number }[] {
  const random = new Random(3);
  return Array.from({ length: queries }, (_, q) => {
    const thing = things[random.index(things.length)]!;
    return [0, 1, 2, 3, 4].map((d) => {
      const verb = d === 0 ? 0 : 1 + ((q + d) % 7);
      return { query: `how can i fix the ${thing} ${q}`, document: `the shop can ${verbs[verb]} one ${thing}`, relevance: d === 0 ? 1 : 0 }; // prettier-ignore
    });
  }).flat();
}

test('which documents fit is learned, measured and answered, and the report has BM25 beside it', async () => {
  const all = pairs(80);
  const folder = dataFolder({ 'all.jsonl': all.map((each, i) => `${JSON.stringify({ ...each, split: i < 300 ? 'train' : 'test' })}\n`).join('') }); // prettier-ignore
  const task = textReranking(join(folder, 'all.jsonl'), { evalSplit: 'test' });
  const run = await train(model, { task, steps: 60, batchSize: 20, lr: 1e-2, threads: 1, lora: { r: 8, targetModules: 'all-linear' } }); // prettier-ignore
  const { adapter } = await run.done;
  const { metrics, intervals } = await evaluate(model, { task, adapter, threads: 1 });
  expect(metrics['ndcg@10']).toBeGreaterThan(0.8);
  expect(intervals!['mrr@10']![0]).toBeLessThanOrEqual(metrics['mrr@10']!);

  const held = all.slice(300);
  writeFileSync(join(folder, 'new.jsonl'), held.map(({ query, document }) => `${JSON.stringify({ query, document })}\n`).join('')); // prettier-ignore
  const reranker = await openTextReranker(modelForAdapter<Model>(model, adapter), { adapter, load: { threads: 1 } });
  const answers: Answer[] = [];
  for await (const each of reranker.predict([join(folder, 'new.jsonl')])) answers.push(each);
  await reranker.release();
  const lists = Array.from(
    { length: held.length / 5 },
    (_, q) =>
    listMeasures([0, 1, 2, 3, 4].map((d) => ({ score: answers[5 * q + d]!.prediction['score'] as number, relevance: held[5 * q + d]!.relevance })))!, // prettier-ignore
  );
  expect(lists.reduce((sum, { ndcg }) => sum + ndcg, 0) / lists.length).toBeCloseTo(metrics['ndcg@10']!, 6);

  const prepared = await task.prepare(model);
  const request = {
    run: ({ input_ids: ids }: Feeds) => Promise.resolve({ logits: float32(new Float32Array(ids!.dims[0]!), [ids!.dims[0]!, 1]) }), // prettier-ignore
    batchSize: 8,
  } as unknown as ReportRequest;
  const [section] = await prepared.report!(request);
  const rows = (section as unknown as { rows: string[][] }).rows;
  // A model that says the same of all is as bad as can be: of five the last.
  expect(rows.map(([name]) => name)).toEqual(['at worst', 'BM25', 'LoRA']);
  expect(rows[2]!.slice(1)).toEqual(rows[0]!.slice(1));
  expect(rows[0]![2]).toMatch(/^0\.200 /);
});

describe('data', () => {
  it('hold out whole queries, and may have grades', async () => {
    const graded = pairs(20).map(({ relevance, ...each }, i) => ({ ...each, relevance: relevance * (1 + (i % 3)) }));
    const folder = dataFolder({ 'g.jsonl': graded.map((each) => `${JSON.stringify(each)}\n`).join('') });
    const { train: known, validation } = await textReranking(join(folder, 'g.jsonl'), { validation: 0.3 }).prepare(model); // prettier-ignore
    const of = async (dataset: typeof known) => Promise.all(Array.from({ length: dataset.length }, (_, i) => dataset.get(i))); // prettier-ignore
    const [own, held] = [await of(known), await of(validation!)];
    const queries = new Set(own.map(({ record }) => record.sequence));
    expect(held.length).toBeGreaterThan(0);
    expect(held.some(({ record }) => queries.has(record.sequence))).toBe(false);
    expect([...new Set(own.map(({ target }) => target))].sort((a, b) => a - b)).toEqual([0, 1 / 3, 2 / 3, 1]);
  });

  it.each([
    ['query,relevance\na b,1\n', /line 2: it has a query and no document/],
    [
      'query,document,relevance\na b,c d,-1\n',
      /line 2: the relevance of a document is one number of at least 0, but it is -1/,
    ],
    ['query,document,relevance\na b,c d,0\n', /No document of .* is relevant/],
  ])('that do not fit are told: %s', async (content, message) => {
    const folder = dataFolder({ 'd.csv': content });
    await expect(textReranking(join(folder, 'd.csv'), { validation: 0 }).prepare(model)).rejects.toThrow(message);
  });
});
