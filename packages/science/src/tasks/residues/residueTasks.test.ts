/** @file Tasks on residues from a file to answers. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, evaluate, type Model, modelForAdapter, openModel, train } from '@onnx-lora/sdk';
import type { Prediction, Predictor, ReportSection, Task } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';
import { EsmTokenizer, type SequenceTokenizer } from '@onnx-lora/sequences';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scienceFamilies } from '../../families/index.ts';
import { openResidueClassifier } from './openResidueClassifier.ts';
import {
  residueClassification,
  residueClassificationTask,
  residueRegression,
  residueRegressionTask,
} from './residueTasks.ts';

const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-residues-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fixture = fileURLToPath(new URL('../../fixtures/esmMasked', import.meta.url));
let model: Model;
beforeAll(async () => {
  model = await openModel(fixture, { families: scienceFamilies });
});

const RESIDUES = 'ACDEFGHIKLMNPQRSTVWY';

function proteins(count: number, seed: number, longest = 30): string[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () =>
    Array.from({ length: 8 + random.index(longest - 8) }, () => RESIDUES[random.index(20)]).join(''),
  );
}

function table(name: string, rows: readonly (readonly (string | number)[])[]): string {
  const file = join(folder, name);
  writeFileSync(file, rows.map((row) => `${row.join(',')}\n`).join(''));
  return file;
}

async function trained(task: Task, steps: number): Promise<Adapter> {
  return (await (await train(model, { task, steps, batchSize: 16, lr: 1e-2, threads: 1 })).done).adapter;
}

async function all(predictor: Predictor, source: string): Promise<Prediction[]> {
  const found: Prediction[] = [];
  for await (const { prediction } of predictor.predict([source])) found.push(prediction);
  return found;
}

async function sectionsOf(task: Task, adapter: Adapter): Promise<readonly ReportSection[]> {
  const prepared = await task.prepare(model);
  const session = await modelForAdapter<Model>(model, adapter).session({ adapters: { adapter }, threads: 1 });
  const run = (inputs: Parameters<typeof session.run>[0]) => session.run(inputs, { adapter: 'adapter' });
  try {
    return await prepared.report!({ run, batchSize: 16, model, adapter, options: {} });
  } finally {
    await session.release();
  }
}

/** The rows of a table. */
function rowsOf(section: ReportSection | undefined): readonly (readonly (string | number)[])[] {
  return section?.kind === 'table' ? section.rows : [];
}

/** K and R are positive, D and E negative, all else is neither; of every fifth residue nothing is known. */
const charge = (letter: string): string => ('KR'.includes(letter) ? 'p' : 'DE'.includes(letter) ? 'n' : 'o');
const charges = (sequence: string): string =>
  [...sequence].map((letter, i) => (i % 5 === 4 ? 'X' : charge(letter))).join('');

describe('classes of residues', () => {
  const sequences = proteins(120, 1);
  const rows = sequences.map((sequence, i) => [`p${i}`, sequence, charges(sequence), i < 90 ? 'train' : 'test']);
  const file = table('charges.csv', [['id', 'sequence', 'charge', 'split'], ...rows]);
  const options = { columns: { residues: 'charge' }, unknown: ['X'] } as const;
  const task = residueClassification(file, options);
  const factory = residueClassificationTask;
  let adapter: Adapter;
  beforeAll(async () => {
    adapter = await trained(task, 60);
  });

  test('are learned with a head in the place of that for masked tokens', async () => {
    const prepared = await task.prepare(model);
    const { head, train: data } = prepared;
    expect(head).toMatchObject({
      labels: ['n', 'o', 'p'],
      attach: { pool: 'each', module: 'classifier', inPlaceOf: 'lm_head.dense' },
    });
    const { inputs, targets } = await prepared.collate([await data.get(0, 0), await data.get(1, 1)]);
    const [, length] = inputs['input_ids']!.dims as [number, number];
    const wanted = [0, 1].flatMap((row) => {
      const known = [...charges(sequences[row]!)].map((each) => ({ n: 0, o: 1, p: 2 })[each] ?? -100);
      return [-100, ...known, ...Array.from({ length: length - known.length - 1 }, () => -100)];
    });
    expect(Array.from(targets['labels']!.data, Number)).toEqual(wanted);
    expect(prepared.lossWeight!(targets)).toBe(wanted.filter((label) => label >= 0).length);

    const { metrics, intervals, confusion } = await evaluate(model, { task, adapter, threads: 1 });
    expect(Object.keys(metrics)).toEqual(['accuracy', 'macroF1', 'balancedAccuracy', 'mcc', 'loss']);
    expect(metrics['accuracy']).toBeGreaterThan(0.95);
    expect(metrics['mcc']).toBeGreaterThan(0.85);
    expect(intervals!['accuracy']![0]).toBeLessThanOrEqual(metrics['accuracy']!);
    expect(confusion!.labels).toEqual(['n', 'o', 'p']);
    const known = sequences.slice(90).join('').length - sequences.slice(90).reduce((sum, each) => sum + Math.floor(each.length / 5), 0); // prettier-ignore
    expect(confusion!.counts.flat().reduce((a, b) => a + b)).toBe(known);
  });

  test('are answered letter by letter, and equal what was measured', async () => {
    const own = modelForAdapter<Model>(model, adapter);
    const predictor = await factory.predictor(own, { adapter, load: { threads: 1 } });
    const answers = await all(predictor, file);
    await predictor.release();
    const { metrics } = await evaluate(model, { task, adapter, threads: 1 });
    let [right, known] = [0, 0];
    for (const [i, { id, residues, confidence, score }] of answers.entries()) {
      expect(id).toBe(`p${i}`);
      expect(String(residues)).toHaveLength(sequences[i]!.length);
      expect(confidence).toMatch(/^[3-9]+$/);
      expect(Number(score)).toBeGreaterThan(1 / 3);
      if (i < 90) continue;
      for (const [at, truth] of [...charges(sequences[i]!)].entries()) {
        if (truth === 'X') continue;
        known++;
        if (String(residues)[at] === truth) right++;
      }
    }
    expect(right / known).toBeCloseTo(metrics['accuracy']!, 6);
  });

  test('of long sequences are means over windows, in metrics and answers alike', async () => {
    const long = { ...options, maxLength: 12, overlap: 4 } as const;
    const windowed = residueClassification(file, long);
    const prepared = await windowed.prepare(model);
    const { validation } = prepared;
    expect(validation!.length).toBeGreaterThan(30);
    const { metrics } = await evaluate(model, { task: windowed, adapter, batchSize: 7, threads: 1 });
    const settings = { maxLength: 12, overlap: 4 };
    const own = modelForAdapter<Model>(model, adapter);
    const predictor = await factory.predictor(own, { adapter, settings, load: { threads: 1 } });
    const answers = await all(predictor, file);
    await predictor.release();
    const letters = sequences.slice(90).map(charges).join('');
    const said = answers.slice(90).map(({ residues }) => String(residues)).join(''); // prettier-ignore
    const known = [...letters].flatMap((truth, at) => (truth === 'X' ? [] : [said[at] === truth]));
    expect(known.filter(Boolean).length / known.length).toBeCloseTo(metrics['accuracy']!, 6);

    // By hand: the probabilities of the windows of one record, averaged where they overlap.
    const session = await own.session({ adapters: { adapter }, threads: 1 });
    const record = 90 + sequences.slice(90).findIndex((sequence) => sequence.length > 20);
    const sums = Array.from(sequences[record]!, () => ({ sum: [0, 0, 0], count: 0 }));
    for (let i = 0; i < validation!.length; i++) {
      const example = (await validation!.get(i)) as { record: { id: string }; row: { at: number; count: number; from: number } }; // prettier-ignore
      if (example.record.id !== `p${record}`) continue;
      const { inputs } = await prepared.collate([example as never]);
      const { logits } = await session.run(inputs, { adapter: 'adapter' });
      for (let token = 0; token < example.row.count; token++) {
        const from = 3 * (example.row.at + token);
        const scores = Array.from(logits!.data.slice(from, from + 3) as Float32Array, Math.exp);
        const total = scores.reduce((a, b) => a + b);
        const place = sums[example.row.from + token]!;
        place.sum = place.sum.map((sum, c) => sum + scores[c]! / total);
        place.count++;
      }
    }
    await session.release();
    expect(Math.max(...sums.map(({ count }) => count))).toBe(2);
    const byHand = sums.map(({ sum }) => 'nop'[sum.indexOf(Math.max(...sum))]).join('');
    expect(answers[record]!['residues']).toBe(byHand);
  });

  test('of an ensemble are measured as they are answered: by the mean of probabilities', async () => {
    const other = await trained(task, 8);
    const path = join(folder, 'other');
    await other.save(path);
    const settings = { ensemble: [path], 'columns.residues': 'charge', unknown: ['X'] };
    const measuredTask = factory.create({ data: file, seed: 0, settings });
    const { metrics, intervals } = await evaluate(model, { task: measuredTask, adapter, threads: 1 });
    const own = modelForAdapter<Model>(model, adapter);
    const predictor = await factory.predictor(own, { adapter, settings, load: { threads: 1 } });
    const answers = await all(predictor, file);
    await predictor.release();
    const letters = sequences.slice(90).map(charges).join('');
    const said = answers.slice(90).map(({ residues }) => String(residues)).join(''); // prettier-ignore
    const known = [...letters].flatMap((truth, at) => (truth === 'X' ? [] : [said[at] === truth]));
    expect(metrics['accuracy']).toBeCloseTo(known.filter(Boolean).length / known.length, 6);
    expect(intervals!['accuracy']).toBeDefined();
    const alone = await evaluate(model, { task, adapter, threads: 1 });
    const weak = await evaluate(model, { task, adapter: other, threads: 1 });
    // The loss of the mean lies below the mean of the losses, for the logarithm is concave.
    const [a, b] = [alone.metrics['loss']!, weak.metrics['loss']!];
    expect(metrics['loss']).toBeLessThan((a + b) / 2);
    expect(metrics['loss']).not.toBeCloseTo(a, 3);
  });

  test('are no numbers, and X among them may be a mistake', async () => {
    const own = modelForAdapter<Model>(model, adapter);
    await expect(residueRegressionTask.predictor(own, { adapter })).rejects.toThrow(
      'The adapter was trained for the task residue-classification and answers with classes, not with numbers.',
    );
    const { warnings } = await residueClassification(file, { columns: { residues: 'charge' } }).prepare(model);
    expect(warnings!.join()).toContain('--set unknown=X');
    expect((await task.prepare(model)).warnings!.join()).not.toContain('unknown');
  });

  test('are shown beside guesses, class by class and along sequences', async () => {
    const [comparison, classes, letters] = await sectionsOf(task, adapter);
    const rows = rowsOf(comparison);
    expect(rows.map(([name]) => name)).toEqual(['always o', 'the usual class of each amino acid or letter', 'with the adapter']); // prettier-ignore
    const held = [...sequences.slice(90).map(charges).join('')].filter((truth) => truth !== 'X');
    expect(rows[0]![1]).toBeCloseTo(held.filter((truth) => truth === 'o').length / held.length, 3);
    expect(comparison!.text).toMatch(/^accuracy \S+ with LoRA, 1 with the usual class of each amino acid or letter; difference .*: LoRA is shown neither to help nor to do worse\./); // prettier-ignore
    // The class follows from the letter.
    expect(rows[1]![1]).toBe(1);
    expect(rowsOf(classes).map(([label]) => label)).toEqual(['n', 'o', 'p']);
    const shown = (letters as Extract<ReportSection, { kind: 'letters' }>).rows;
    expect(shown).toHaveLength(5);
    for (const { title, text, below } of shown) {
      const [, id] = /p(\d+)/.exec(title)!;
      expect(text).toBe(sequences[Number(id)]);
      expect(below![0]!.text).toBe(charges(text).replaceAll('X', '·'));
      expect(below![1]!.text).toHaveLength(text.length);
    }
  });

  test('may be words, and weighed', async () => {
    const given = sequences.slice(0, 40).map((sequence, i) => ({
      sequence,
      split: i < 30 ? ('train' as const) : ('validation' as const),
      residues: [...sequence].map((letter, at) => (at === 0 ? null : charge(letter) === 'o' ? 'neutral' : 'charged')),
    }));
    const words = residueClassification(given, { classWeights: 'balanced' });
    const prepared = await words.prepare(model);
    const examples = await Promise.all(Array.from({ length: 30 }, (_, i) => prepared.train.get(i)));
    const weight = prepared.lossWeight!((await prepared.collate(examples)).targets);
    expect(weight).toBeCloseTo(
      given.slice(0, 30).reduce((sum, { sequence }) => sum + sequence.length - 1, 0),
      6,
    );
    const made = await trained(words, 10);
    const predictor = await factory.predictor(modelForAdapter<Model>(model, made), { adapter: made, load: { threads: 1 } }); // prettier-ignore
    const [first] = await all(predictor, file);
    await predictor.release();
    expect(first!['residues']).toHaveLength(sequences[0]!.length);
    for (const word of first!['residues'] as string[]) expect(['neutral', 'charged']).toContain(word);
  });

  test('names what is wrong with the data', async () => {
    const refused = (records: readonly object[], more: object = {}) =>
      residueClassification(records as never, { validation: 0, ...more }).prepare(model);
    const record = { sequence: 'MKV', residues: ['a', 'b', 'a'], id: 'one', where: 'table.csv, line 2' };
    const cases: readonly (readonly [Promise<unknown>, string])[] = [
      [refused([{ ...record, residues: ['a', 'a', null] }]), 'All residues have the class "a"'],
      [refused([{ ...record, residues: [null, null, null] }]), 'No residue of the data has a class'],
      [refused([record, { ...record, id: 'two', where: 'table.csv, line 3', residues: ['a', 'b'] }]), 'line 3'],
      [
        refused([
          { ...record, split: 'train' },
          { ...record, sequence: 'MKK', id: 'two', where: 'table.csv, line 3', split: 'validation', residues: ['a', 'c', 'b'] },
        ]),
        'table.csv, line 3: residue 2 of "two" has the class "c"',
      ],
    ]; // prettier-ignore
    // All at once: a promise that is rejected before it is awaited is an error of its own.
    await Promise.all(
      cases.map(([result, message]) =>
        expect(result).rejects.toMatchObject({ code: 'DATA_INVALID', message: expect.stringContaining(message) }),
      ),
    );
    const { warnings, train: data } = await refused([record, { ...record, id: 'two', sequence: 'MKL', where: 'line 9', residues: [null, null, null] }]); // prettier-ignore
    expect(data.length).toBe(1);
    expect(warnings!.join()).toContain('line 9');
    await expect(factory.predictor(model)).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringContaining('--adapter'),
    });
  });
});

test('tokens of several letters are refused, before training and before answers', async () => {
  const esm = await EsmTokenizer.read(fixture);
  // As a tokenizer of k-mers says of itself.
  const tokenizer: SequenceTokenizer = Object.defineProperty(esm, 'isPerLetter', { value: false });
  const refused = {
    code: 'MODEL_UNSUPPORTED',
    message: expect.stringContaining('several letters long') as unknown,
  };
  const given = [{ sequence: 'MKV', residues: ['a', 'b', 'a'] }];
  await expect(residueClassification(given, { validation: 0, tokenizer }).prepare(model)).rejects.toMatchObject(
    refused,
  );
  await expect(openResidueClassifier(model, { tokenizer })).rejects.toMatchObject(refused);
});

describe('numbers of residues', () => {
  const sequences = proteins(120, 2);
  // Far from 0 and 1: a head that did not take units in would be lost.
  const numbers = (sequence: string): (number | null)[] =>
    [...sequence].map((letter, i) => (i % 4 === 3 ? null : 300 + 20 * RESIDUES.indexOf(letter)));
  const given = sequences.map((sequence, i) => ({
    id: `p${i}`,
    sequence,
    split: i < 90 ? ('train' as const) : ('validation' as const),
    residues: numbers(sequence),
  }));

  test('are learned in units of the data, measured, shown and answered', async () => {
    const task = residueRegression(given);
    const prepared = await task.prepare(model);
    const { head } = prepared;
    expect(head).toMatchObject({ labels: ['value'], attach: { pool: 'each', inPlaceOf: 'lm_head.dense' } });
    const { targets } = await prepared.collate([await prepared.train.get(0)]);
    const own = sequences[0]!;
    expect(prepared.lossWeight!(targets)).toBe(own.length - Math.floor(own.length / 4));

    const adapter = await trained(task, 80);
    const { metrics, intervals } = await evaluate(model, { task, adapter, threads: 1 });
    expect(Object.keys(metrics)).toEqual(['spearman', 'pearson', 'rmse', 'mae', 'r2']);
    expect(metrics['spearman']).toBeGreaterThan(0.9);
    expect(metrics['r2']).toBeGreaterThan(0.8);
    expect(intervals!['rmse']![1]).toBeGreaterThan(metrics['rmse']!);

    const fasta = join(folder, 'numbers.fasta');
    writeFileSync(fasta, sequences.map((sequence, i) => `>p${i}\n${sequence}\n`).join(''));
    const adapted = modelForAdapter<Model>(model, adapter);
    const predictor = await residueRegressionTask.predictor(adapted, { adapter, load: { threads: 1 } });
    const answers = await all(predictor, fasta);
    await predictor.release();
    const errors = answers.slice(90).flatMap(({ values }, i) =>
      numbers(sequences[90 + i]!).flatMap((truth, at) => (truth === null ? [] : [(values as number[])[at]! - truth])),
    ); // prettier-ignore
    const rmse = Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length);
    expect(rmse).toBeCloseTo(metrics['rmse']!, 3);

    const [comparison, scatter, ...curves] = await sectionsOf(task, adapter);
    const rows = rowsOf(comparison);
    expect(rows[0]!.slice(1)).toEqual(['–', '–', expect.any(Number), expect.any(Number)]);
    // The number follows from the letter.
    expect(rows[1]!.slice(3)).toEqual([0, 1]);
    expect(rows[2]![3]).toBeCloseTo(metrics['rmse']!, 2);
    expect((scatter as Extract<ReportSection, { kind: 'scatter' }>).series[0]!.points).toHaveLength(errors.length);
    expect(curves).toHaveLength(3);
  });

  test('must be numbers', async () => {
    const text = [{ id: 'one', where: 'line 2', sequence: 'MKV', residues: ['1', '2', 'high'] }];
    await expect(residueRegression(text, { validation: 0 }).prepare(model)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('line 2: residue 3 of "one" has the label "high"'),
    });
    const { train: data } = await residueRegression([{ sequence: 'MKV', residues: ['1', '-2e1', '0.5'] }], { validation: 0 }).prepare(model); // prettier-ignore
    expect((await data.get(0)) as unknown).toMatchObject({ target: [1, -20, 0.5] });
  });
});
