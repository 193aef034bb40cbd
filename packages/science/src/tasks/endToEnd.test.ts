/** @file Tasks on whole sequences from a file to answers: training, measuring, answering record by record. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type Adapter, evaluate, type Model, modelForAdapter, openModel, train } from '@onnx-lora/sdk';
import type { Answer, Predictor, Task } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scienceFamilies } from '../families/index.ts';
import {
  sequenceClassification,
  sequenceClassificationTask,
  sequenceLabelling,
  sequenceLabellingTask,
  sequenceRegression,
  sequenceRegressionTask,
} from './classification/sequenceTasks.ts';

const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-sequences-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let model: Model;
beforeAll(async () => {
  model = await openModel(fileURLToPath(new URL('../fixtures/esmMasked', import.meta.url)), {
    families: scienceFamilies,
  });
});

const RESIDUES = 'ACDEFGHIKLMNPQRSTVWY';

/** Proteins of different lengths, with more or less lysine. */
function proteins(count: number, seed: number): string[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const share = random.next();
    const length = 8 + random.index(25);
    return Array.from({ length }, () => (random.next() < share ? 'K' : RESIDUES[random.index(20)])).join('');
  });
}
const lysine = (sequence: string): number => [...sequence].filter((letter) => letter === 'K').length / sequence.length;

function table(name: string, rows: readonly (readonly (string | number)[])[]): string {
  const file = join(folder, name);
  writeFileSync(file, rows.map((row) => `${row.join(',')}\n`).join(''));
  return file;
}

async function trained(task: Task, steps: number, seed = 0): Promise<Adapter> {
  const run = await train(model, { task, steps, batchSize: 16, lr: 1e-2, seed, threads: 1 });
  return (await run.done).adapter;
}

async function all(answers: AsyncIterable<Answer>): Promise<Answer[]> {
  const found: Answer[] = [];
  for await (const answer of answers) found.push(answer);
  return found;
}

const numbersOf = (answers: readonly Answer[], name: string): number[] =>
  answers.map(({ prediction }) => Number(prediction[name]));

describe('numbers', () => {
  const sequences = proteins(240, 1);
  // Far from 0 and 1: a head that did not take units in would be lost.
  const rows = sequences.map((sequence, i) => [`p${i}`, sequence, 5000 + 100 * lysine(sequence), i < 180 ? 'train' : 'validation']); // prettier-ignore
  const file = table('melting.csv', [['id', 'sequence', 'melting', 'split'], ...rows]);
  const fasta = join(folder, 'new.fasta');
  writeFileSync(fasta, sequences.map((sequence, i) => `>p${i} of a test\n${sequence}\n`).join(''));
  const task = sequenceRegression(file);
  const factory = sequenceRegressionTask;
  let adapter: Adapter;
  let predictor: Predictor;
  beforeAll(async () => {
    adapter = await trained(task, 60);
    predictor = await factory.predictor(modelForAdapter<Model>(model, adapter), { adapter, load: { threads: 1 } });
  });
  afterAll(() => predictor.release());

  test('are learned in units of the data, with a head in the place of that for masked tokens', async () => {
    const prepared = await task.prepare(model);
    expect(prepared.head).toMatchObject({
      labels: ['melting'],
      attach: { pool: 'mean', mask: 'attention_mask', inPlaceOf: 'lm_head.dense' },
    });
    const { metrics, intervals } = await evaluate(model, { task, adapter, threads: 1 });
    expect(Object.keys(metrics)).toEqual(['spearman', 'pearson', 'rmse', 'mae', 'r2']);
    expect(metrics['spearman']).toBeGreaterThan(0.9);
    expect(metrics['r2']).toBeGreaterThan(0.8);
    const [low, high] = intervals!['spearman']!;
    expect(low).toBeLessThan(metrics['spearman']!);
    expect(high).toBeGreaterThan(metrics['spearman']!);
    // The model with its adapter is known as one that gives these numbers.
    expect((await task.prepare(modelForAdapter<Model>(model, adapter))).head).toBeUndefined();
  });

  test('start from what the frozen model can tell, and continue after an interruption', async () => {
    const still = { steps: 1, batchSize: 16, lr: 1e-9, threads: 1 } as const;
    const started = async (own: Task): Promise<number> => {
      const start = (await (await train(model, { task: own, ...still })).done).adapter;
      return (await evaluate(model, { task: own, adapter: start, threads: 1 })).metrics['r2']!;
    };
    const { head, ...rest } = await task.prepare(model);
    const { probe: _, ...random } = head!;
    expect(await started(task)).toBeGreaterThan(0.7);
    expect(await started({ name: 'random', prepare: () => Promise.resolve({ ...rest, head: random }) })).toBeLessThan(
      0.1,
    );

    const checkpoints = { folder: join(folder, 'checkpoints'), every: 2 };
    const options = { task, steps: 4, batchSize: 16, lr: 1e-3, threads: 1 };
    const whole = await (await train(model, { ...options, checkpoints })).done;
    const resumed = await (await train(model, { ...options, resume: join(checkpoints.folder, 'step-2') })).done;
    for (const [name, tensor] of whole.adapter.tensors) expect(resumed.adapter.tensors.get(name), name).toEqual(tensor);
  });

  test('are answered in the order of the file, whatever else is in the batch', async () => {
    const answers = await all(predictor.predict([fasta]));
    expect(answers.map(({ prediction }) => prediction['id'])).toEqual(sequences.map((_, i) => `p${i}`));
    expect(Object.keys(answers[0]!.prediction)).toEqual(['id', 'value']);
    const alone = await all(predictor.predict([fasta], { batchSize: 1 }));
    numbersOf(alone, 'value').forEach((value, i) =>
      expect(Number(answers[i]!.prediction['value'])).toBeCloseTo(value, 2),
    );
    for (const [i, value] of numbersOf(answers, 'value').entries())
      expect(Math.abs(value - 5000 - 100 * lysine(sequences[i]!)), sequences[i]).toBeLessThan(40);
    expect(answers.at(-1)).toMatchObject({ read: answers[0]!.total });
  });

  test('go on after those that are there, also from a stream', async () => {
    const answers = await all(predictor.predict([fasta]));
    const rest = await all(predictor.predict([fasta], { skip: 201 }));
    expect(rest.map(({ prediction }) => prediction['id'])).toEqual(sequences.slice(201).map((_, i) => `p${201 + i}`));
    numbersOf(rest, 'value').forEach((value, i) =>
      expect(value).toBeCloseTo(Number(answers[201 + i]!.prediction['value']), 2),
    );
    const streamed = await all(
      predictor.predict([Readable.from([Buffer.from('>a\nMKK\n>b\nMGG'), Buffer.from('G\n')])]),
    );
    expect(streamed.map(({ prediction }) => prediction['id'])).toEqual(['a', 'b']);
    expect(await all(predictor.predict([fasta], { skip: 240 }))).toEqual([]);
  });

  test('of an ensemble are the mean, beside the deviation', async () => {
    const other = await trained(task, 30, 5);
    const path = join(folder, 'other');
    await other.save(path);
    const settings = { ensemble: [path] };
    const own = modelForAdapter<Model>(model, adapter);
    const both = await factory.predictor(own, { adapter, settings, load: { threads: 1 } });
    const second = await factory.predictor(own, { adapter: other, load: { threads: 1 } });
    const [answers, first, others] = await Promise.all(
      [both, predictor, second].map((each) => all(each.predict([fasta]))),
    );
    for (const [i, { prediction }] of answers!.entries()) {
      const [a, b] = [Number(first![i]!.prediction['value']), Number(others![i]!.prediction['value'])];
      expect(prediction['value']).toBeCloseTo((a + b) / 2, 1);
      expect(prediction['deviation']).toBeCloseTo(Math.abs(a - b) / Math.SQRT2, 1);
    }
    await Promise.all([both.release(), second.release()]);
    await expect(factory.predictor(model, { settings })).rejects.toThrow(
      /An ensemble answers together with an adapter/,
    );
  });

  test('of long sequences are the mean over their windows, in metrics and answers', async () => {
    const windows = { maxLength: 12, tooLong: 'windows', overlap: 0 } as const;
    const own = modelForAdapter<Model>(model, adapter);
    const inWindows = await factory.predictor(own, { adapter, settings: windows, load: { threads: 1 } });
    const long = sequences[0]!.repeat(3).slice(0, 30);
    const parts = [0, 10, 20].map((from) => long.slice(from, from + 10));
    const write = (name: string, list: readonly string[]): string => {
      const path = join(folder, name);
      writeFileSync(path, list.map((sequence, i) => `>${i}\n${sequence}\n`).join(''));
      return path;
    };
    const [answer] = numbersOf(await all(inWindows.predict([write('long.fasta', [long])])), 'value');
    const each = numbersOf(await all(predictor.predict([write('parts.fasta', parts)])), 'value');
    expect(answer).toBeCloseTo((each[0]! + each[1]! + each[2]!) / 3, 2);
    const answers = numbersOf(await all(inWindows.predict([fasta])), 'value').slice(180);
    await inWindows.release();

    const { metrics } = await evaluate(model, { task: sequenceRegression(file, windows), adapter, threads: 1 });
    const truths = sequences.slice(180).map((sequence) => 5000 + 100 * lysine(sequence));
    const squares = answers.reduce((sum, value, i) => sum + (value - truths[i]!) ** 2, 0);
    expect(metrics['rmse']).toBeCloseTo(Math.sqrt(squares / truths.length), 2);
  });

  test('that were not measured count neither in the loss nor in the metrics', async () => {
    const gaps = sequences
      .slice(0, 80)
      .map((sequence, i) => [
        sequence,
        i % 2 === 0 ? lysine(sequence) : '',
        i % 2 === 0 && i % 4 !== 0 ? '' : 10 - 5 * lysine(sequence),
      ]);
    const both = sequenceRegression(table('gaps.csv', [['sequence', 'binding', 'yield'], ...gaps]), {
      columns: { values: ['binding', 'yield'] },
    });
    const prepared = await both.prepare(model);
    const examples = await Promise.all([0, 1, 2].map((i) => prepared.train.get(i)));
    const { targets } = await prepared.collate(examples);
    expect([...(targets['known']!.data as Float32Array)]).toEqual([1, 1, 0, 1, 1, 0]);
    expect(prepared.lossWeight!(targets)).toBe(4);
    const made = await trained(both, 40);
    const { metrics } = await evaluate(model, { task: both, adapter: made, threads: 1 });
    expect(metrics['spearman']).toBeGreaterThan(0.8);
    const several = await factory.predictor(modelForAdapter<Model>(model, made), {
      adapter: made,
      load: { threads: 1 },
    });
    const [first] = await all(several.predict([fasta]));
    expect(Object.keys(first!.prediction)).toEqual(['id', 'binding', 'yield']);
    await several.release();
  });
});

describe('classes', () => {
  const sequences = proteins(160, 2);
  const rich = (sequence: string): string => (lysine(sequence) > 0.5 ? 'rich' : 'poor');
  const rows = sequences.map((sequence, i) => [sequence, rich(sequence), i < 120 ? 'train' : 'test']);
  const file = table('classes.csv', [['sequence', 'label', 'split'], ...rows]);

  test('are learned, measured and answered', async () => {
    const task = sequenceClassification(file, { calibrate: true });
    const adapter = await trained(task, 50);
    const { metrics, intervals, confusion } = await evaluate(model, { task, adapter, threads: 1 });
    expect(metrics['accuracy']).toBeGreaterThan(0.85);
    expect(Object.keys(metrics).slice(0, 3)).toEqual(['accuracy', 'balancedAccuracy', 'macroF1']);
    expect(intervals!['accuracy']![0]).toBeLessThan(metrics['accuracy']!);
    expect(confusion!.labels).toEqual(['poor', 'rich']);
    expect(confusion!.counts.flat().reduce((a, b) => a + b)).toBe(40);
    const right = confusion!.counts[0]![0]! + confusion!.counts[1]![1]!;
    expect(metrics['accuracy']).toBeCloseTo(right / 40, 6);
    expect(Number(adapter.notes.learned!['temperature'])).toBeGreaterThan(0);

    const own = modelForAdapter<Model>(model, adapter);
    const predictor = await sequenceClassificationTask.predictor(own, { adapter, load: { threads: 1 } });
    const answers = await all(predictor.predict([file]));
    await predictor.release();
    const hits = answers.slice(120).filter(({ prediction }, i) => prediction['label'] === rich(sequences[120 + i]!));
    expect(hits).toHaveLength(right);
    for (const { prediction } of answers) expect(prediction['score']).toBeGreaterThanOrEqual(0.5);
  });

  test('of pairs depend on both sequences', async () => {
    const pairs = sequences.map((first, i) => {
      const second = sequences[(i * 7 + 3) % 160]!;
      return [first, second, lysine(first) + lysine(second) > 1 ? 'binds' : 'apart', i < 120 ? 'train' : 'test'];
    });
    const pairFile = table('pairs.csv', [['sequence', 'sequence2', 'label', 'split'], ...pairs]);
    const task = sequenceClassification(pairFile, { columns: { second: 'sequence2' } });
    const prepared = await task.prepare(model);
    const { inputs } = await prepared.collate([await prepared.train.get(0)]);
    const [first, second] = pairs[0] as [string, string];
    expect(inputs['input_ids']!.dims[1]).toBe(first.length + second.length + 3);
    const adapter = await trained(task, 50);
    const { metrics } = await evaluate(model, { task, adapter, threads: 1 });
    expect(metrics['accuracy']).toBeGreaterThan(0.8);
  });
});

test('several labels, with thresholds of their own', async () => {
  const sequences = proteins(160, 3);
  const labelsOf = (sequence: string): string =>
    [...(lysine(sequence) > 0.5 ? ['rich'] : []), ...(sequence.length > 20 ? ['long'] : [])].join(';');
  const rows = sequences.map((sequence, i) => [sequence, labelsOf(sequence), i < 120 ? 'train' : 'test']);
  const file = table('labels.csv', [['sequence', 'labels', 'split'], ...rows]);
  const task = sequenceLabelling(file, { threshold: 'tuned' });
  const adapter = await trained(task, 60);
  const { metrics, intervals } = await evaluate(model, { task, adapter, threads: 1 });
  expect(metrics['mAP']).toBeGreaterThan(0.7);
  expect(intervals!['mAP']![0]).toBeLessThan(metrics['mAP']!);
  expect(Object.keys(adapter.notes.learned!['thresholds'] as object)).toEqual(['long', 'rich']);
  const own = modelForAdapter<Model>(model, adapter);
  const predictor = await sequenceLabellingTask.predictor(own, { adapter, load: { threads: 1 } });
  const [first] = await all(predictor.predict([file]));
  await predictor.release();
  expect(Object.keys(first!.prediction)).toEqual(['id', 'labels', 'long', 'rich']);
});
