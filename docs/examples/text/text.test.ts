/** @file The plugin for texts: PEFT's numbers for its family, its parts beside numbers by hand, and a run on the command line. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { float32, int64, type Model, openModel, train } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { checkAdapterRoundTrip, checkPlugin, checkTask, conformance, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, callJson } from '../../../packages/cli/fixtures/call.ts';
import { textEmbedder, textPredictor } from './predictor.ts';
import { PairMetrics } from './pairMetrics.ts';
import { textPlugin } from './plugin.ts';
import { pooledTensor } from './pooling.ts';
import { textEmbedding } from './textEmbedding.ts';
import { TextTokenizer } from './tokenizer.ts';

const at = (name: string): string => path.join(import.meta.dirname, name);
const [published, pairs] = [at('../models/minilm-tiny'), at('../data/paraphrases/pairs.csv')];
const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-paraphrases-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let model: Model;
beforeAll(async () => {
  model = await openModel(published, { plugins: [textPlugin] });
});

/** A table with these lines. */
function table(...lines: string[]): string {
  const file = path.join(folder, 'table.csv');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

it('adapters of the family agree with PEFT', async () => {
  const { failed, passed } = await conformance(at('../../../test/fixtures/cases/minilm-embed-v5'), { plugins: [textPlugin] }); // prettier-ignore
  expect({ failed, passed }).toEqual({ failed: 0, passed: 9 });
});

describe('the test kit', () => {
  it('finds the plugin sound', async () => {
    const modulePaths = model.modules().map((each) => each.path);
    const own = [
      { config: model.config!, modulePaths },
      { modulePaths: modulePaths.map((each) => `bert.${each}`) },
      { modulePaths: modulePaths.map((each) => `0.auto_model.${each}`) },
    ];
    const esm = { config: { model_type: 'esm' }, modulePaths };
    expect(
      await checkPlugin(textPlugin, {
        families: { bert: { own, others: [esm, { modulePaths }] } },
        tasks: [{ task: textEmbedding(pairs), model }],
      }),
    ).toEqual([]);
    expect(await checkAdapterRoundTrip(model, await randomAdapter(model, { lora: { r: 2 } }))).toEqual([]);
  });

  it.each([
    ['negatives', 'text,positive,negative', 'how can i buy a car,a way to purchase the auto,a way to scrap the auto'],
    ['scores', 'text,positive,score', 'how can i buy a car,a way to purchase the auto,0.9'],
  ])('finds the task with %s sound', async (_, header, line) => {
    const file = table(header, line, line.replaceAll(/car|auto/g, 'bike').replace('0.9', '0.2'));
    expect(await checkTask(textEmbedding(file), model)).toEqual([]);
  });
});

describe('texts', () => {
  it('are cut to what the model takes, in lower case, unknown words as [UNK]', async () => {
    const tokenizer = await TextTokenizer.open(model);
    // [CLS] how can i sell [UNK] [SEP]
    expect(tokenizer.ids('How can I sell Kraków')).toEqual([2, 5, 6, 7, 34, 1, 3]);
    const long = tokenizer.ids('how '.repeat(100));
    expect([long.length, long[0], long[1], long.at(-2), long.at(-1)]).toEqual([32, 2, 5, 5, 3]);
    const { inputs } = tokenizer.feeds([
      [2, 5, 3],
      [2, 3],
    ]);
    expect(inputs['attention_mask']).toEqual(int64([1, 1, 1, 1, 1, 0], [2, 3]));
  });

  it('are pooled without padding: the same alone and beside a longer one', async () => {
    const states = float32([3, 0, 0, 4, 100, 100], [1, 3, 2]);
    const [x, y] = pooledTensor(states, int64([1, 1, 0], [1, 3])).data;
    expect([x, y].map((each) => Number(each).toFixed(6))).toEqual(['0.600000', '0.800000']);
    const embedder = await textEmbedder(model);
    const [alone, beside] = [await embedder.embed(['fix my car']), await embedder.embed(['fix my car', 'how can we find a way to lift the stone'])]; // prettier-ignore
    alone.data.forEach((value, i) => expect(Number(beside.data[i])).toBeCloseTo(Number(value), 5));
    await embedder.release();
  });
});

it('the predictor gives embeddings, the same alone and beside a longer text', async () => {
  await using predictor = await textPredictor(model, { load: { worker: false } });
  const answers = async (batchSize: number): Promise<number[][]> => {
    const found: number[][] = [];
    const bytes = Readable.from([Buffer.from('fix my car\n\nhow can we find a way to lift the stone\n')]);
    for await (const { prediction } of predictor.predict([bytes], { batchSize })) found.push([...(prediction['embedding'] as Float32Array)]); // prettier-ignore
    return found;
  };
  const [alone, beside] = [await answers(1), await answers(2)];
  expect(alone.map((each) => Math.hypot(...each))).toEqual([expect.closeTo(1, 5), expect.closeTo(1, 5)]);
  expect(beside).toEqual(alone.map((each) => each.map((value) => expect.closeTo(value, 5) as number)));
});

it('the loss is the cross-entropy of each text with all partners and negatives', async () => {
  // Different lengths need padding, which must not count.
  const columns = [
    ['fix my car', 'how can i find a way to lift the stone'],
    ['repair the auto', 'raise one rock'],
    ['can i hide a bin', 'lift'],
  ] as const;
  const lines = [0, 1].map((i) => columns.map((column) => column[i]).join(','));
  const task = textEmbedding(table('text,positive,negative', ...lines), { temperature: 0.1 });
  const losses: number[] = [];
  const run = await train(model, { task, lora: { r: 2 }, steps: 1, batchSize: 2 });
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  await run.done;

  // One by one there is no padding; B begins at zero, so that the first loss is the base's.
  const embedder = await textEmbedder(model);
  const vectors: number[][] = [];
  for (const text of columns.flat()) vectors.push(Array.from((await embedder.embed([text])).data, Number));
  await embedder.release();
  const costs = [0, 1].map((i) => {
    const scores = vectors.slice(2).map((other) => other.reduce((sum, value, k) => sum + value * vectors[i]![k]!, 0) / 0.1); // prettier-ignore
    return Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - scores[i]!;
  });
  expect(losses).toEqual([expect.closeTo((costs[0]! + costs[1]!) / 2, 4)]);
});

describe('metrics', () => {
  const measured = (texts: number[], partners: number[], scores?: number[]): unknown => {
    const rows = (values: number[]): ReturnType<typeof float32> => float32(values, [values.length / 2, 2]);
    const metrics = new PairMetrics(() => ({ texts: rows(texts), partners: rows(partners) }));
    metrics.update({}, scores ? { scores: float32(scores, [scores.length]) } : {});
    return metrics.result();
  };

  it('rank partners by hand', () => {
    // The first text finds its own first; the second finds the first's before its own.
    expect(measured([1, 0, 1, 0], [1, 0, 0, 1])).toEqual({ 'accuracy@1': 0.5, mrr: 0.75 });
    expect(measured([1, 0, 1, 0], [1, 0, 1, 0])).toEqual({ 'accuracy@1': 0, mrr: 0.5 });
  });

  it('correlate with scores by rank', () => {
    const turned = [1, 0, 0.6, 0.8, 0, 1];
    expect(measured([1, 0, 1, 0, 1, 0], turned, [0.9, 0.8, 0.1])).toEqual({ spearman: expect.closeTo(1, 9) as number });
    expect(measured([1, 0, 1, 0, 1, 0], turned, [0.1, 0.2, 0.9])).toEqual({
      spearman: expect.closeTo(-1, 9) as number,
    });
  });
});

it.each([
  ['a table without pairs', ['text,label', 'a,b'], 'has no column "positive". Name its columns text and positive.'],
  ['negatives with scores', ['text,positive,negative,score', 'a,b,c,1'], 'has both negatives and scores. Leave one column out.'], // prettier-ignore
  ['an empty text', ['text,positive', 'a,'], 'line 2, column "positive" is empty. Fill it in, or remove the line.'],
  ['a score of another scale', ['text,positive,score', 'a,b,4.5'], 'column "score" is 4.5. Divide scores by the highest there can be'], // prettier-ignore
  ['too few pairs', ['text,positive', 'a,b'], 'leaves 1 pairs to train on. Give two at least.'],
])('refuses %s', async (_, lines, message) => {
  await expect(textEmbedding(table(...lines)).prepare(model)).rejects.toThrow(message);
});

it('never divides pairs that share a text', async () => {
  const lines = Array.from({ length: 40 }, (_, i) => `how can i buy ${['a car', 'a bike', 'my sofa', 'the rug'][i % 4]},want ${i}`); // prettier-ignore
  const { train, validation } = await textEmbedding(table('text,positive', ...lines), { validation: 0.25 }).prepare(model); // prettier-ignore
  const textsOf = async (data: typeof train): Promise<Set<string>> =>
    new Set(
      await Promise.all(Array.from({ length: data.length }, async (_, i) => String((await data.get(i)).rows[0]))),
    );
  const [kept, held] = [await textsOf(train), await textsOf(validation!)];
  expect([kept.size, held.size, validation!.length]).toEqual([3, 1, 10]);
  expect([...held].filter((text) => kept.has(text))).toEqual([]);
});

it('trains, and embeds the lines of a file, on the command line', async () => {
  const plugin = ['--plugin', at('plugin.ts'), '--task', 'paraphrase-embedding'];
  const out = path.join(folder, 'run');
  const { before, after } = await callJson<Record<'before' | 'after', Record<string, number>>>('train', published, ...plugin, '--data', pairs, '--targets', 'all-linear', '--steps', '120', '--lr', '1e-2', '--out', out); // prettier-ignore
  // One of 40 by chance.
  expect(before['accuracy@1']).toBeLessThan(0.1);
  expect(after['accuracy@1']).toBeGreaterThan(0.25);

  const [texts, vectors] = [path.join(folder, 'texts.txt'), path.join(folder, 'vectors.safetensors')];
  writeFileSync(texts, 'how can i fix my bike\n\nhelp me repair my bicycle\n');
  const { code } = await call(['predict', published, texts, ...plugin, '--adapter', path.join(out, 'adapter'), '--out', vectors]); // prettier-ignore
  expect(code).toBe(0);
  const { tensors, metadata } = await readSafetensors(vectors);
  expect(metadata).toMatchObject({ ids: '["how can i fix my bike","help me repair my bicycle"]' });
  const answers = await callJson<{ id: string; embedding: number[] }[]>('predict', published, texts, ...plugin, '--adapter', path.join(out, 'adapter')); // prettier-ignore
  expect(answers.flatMap(({ embedding }) => embedding)).toEqual(Array.from(tensors.get('embeddings')!.data, Number).map((each) => expect.closeTo(each, 6) as number)); // prettier-ignore
  expect(readFileSync(path.join(out, 'report.html'), 'utf8')).toContain('paraphrase-embedding');
});
