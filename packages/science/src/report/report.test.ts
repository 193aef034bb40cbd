/** @file The sections of reports about sequences: their numbers, and whole reports of small runs. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
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
import {
  paritySection,
  type ReportRequest,
  type ReportSection,
  residualSection,
  type Task,
} from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';
import {
  curveSections,
  ensembleCalibration,
  evaluateEnsemble,
  frozenEmbeddings,
  type SequenceDataset,
  type SequenceExample,
  withEnsemble,
} from '@onnx-lora/sequences';
import { beforeAll, describe, expect, it, test } from 'vitest';
import type { GivenSequenceRecord } from '../data/sequenceRecord.ts';
import { scienceFamilies } from '../families/index.ts';
import {
  sequenceClassification,
  sequenceLabelling,
  sequenceRegression,
} from '../tasks/classification/sequenceTasks.ts';
import { classLogos, highestLogo, logoColumn, logoSection } from './logoSections.ts';

describe('numbers', () => {
  const pairs = { name: 'fitness', noun: 'sequences', measured: [0, 1, 2, 3], predicted: [0.5, 1, 2, 2] };

  it('are drawn over each other on one scale', () => {
    expect(paritySection(pairs)).toMatchObject({
      kind: 'scatter',
      diagonal: true,
      x: 'measured fitness',
      series: [{ points: [[0, 0.5], [1, 1], [2, 2], [3, 2]] }], // prettier-ignore
    });
    const many = Array.from({ length: 10_000 }, (_, i) => i);
    const large = paritySection({ name: 'x', noun: 'sequences', measured: many, predicted: many });
    expect(large.text).toContain('2500 of them are drawn');
  });

  it('have errors that are counted whole', () => {
    const section = residualSection(pairs) as Extract<ReportSection, { kind: 'histogram' }>;
    expect(section.counts).toHaveLength(25);
    expect(section.counts.reduce((sum, count) => sum + count, 0)).toBe(4);
    // From −1 to 0.5: the one that is a unit too low is in the first bin, that half a unit too high in the last.
    expect([section.counts[0], section.counts.at(-1)]).toEqual([1, 1]);
    expect([section.borders[0], section.borders.at(-1)]).toEqual([-1, 0.5]);
    const same = residualSection({
      name: 'x',
      noun: 'sequences',
      measured: [1, 1],
      predicted: [1, 1],
    }) as typeof section;
    expect(same.counts.reduce((sum, count) => sum + count, 0)).toBe(2);
  });
});

describe('curves', () => {
  it('are one of two classes, and one of each of several labels', () => {
    const names = ['no', 'yes'];
    const truths = [1, 0, 0, 1, 0, 1];
    const two = curveSections({ names, scores: [0.8, 0.2, 0.3, 0.7, 0.1, 0.9], truths });
    expect(two.map((section) => section.kind === 'lines' && section.series.map(({ name }) => name))).toEqual([
      ['yes (1.000)'],
      ['yes (1.000)'],
    ]);
    const labels = curveSections({ names, scores: [0.8, 0.2, 0.3, 0.7, 0.1, 0.9], truths: [1, 1, 0, 1, 0, 0] });
    expect(labels[0]).toMatchObject({ series: [{ name: 'yes (0.000)' }, { name: 'no (1.000)' }] });
    expect(curveSections({ names, scores: [1, 0], truths: [1, 0] })).toEqual([]);
    // Those of texts are the same sections.
    expect(JSON.stringify(two)).not.toMatch(/sequence|residue/);
  });
});

describe('a logo', () => {
  // By hand: Schneider & Stephens, e(n) = 3 / (2 · ln 2 · n).
  it('is as high as what its letters say, less what chance would', () => {
    const column = logoColumn([...'AAAAAAAAAAAAAAAC'], 4, '7');
    const entropy = -(15 / 16) * Math.log2(15 / 16) - (1 / 16) * Math.log2(1 / 16);
    const information = 2 - entropy - 3 / (2 * Math.LN2 * 16);
    expect(column.label).toBe('7');
    expect(column.letters.map(({ letter }) => letter)).toEqual(['C', 'A']);
    expect(column.letters[0]!.height).toBeCloseTo(information / 16, 12);
    expect(column.letters[1]!.height).toBeCloseTo((15 / 16) * information, 12);
    // Few sequences that are all different say nothing.
    expect(logoColumn([...'ACGT'], 4, '1').letters.every(({ height }) => height === 0)).toBe(true);
    expect(logoColumn(['-', '-'], 4, '1').letters).toEqual([]);
  });

  it('shows the positions where sequences differ', () => {
    const section = logoSection({ title: 'x', sequences: ['MAG', 'MCG', 'MAG'] });
    expect(section).toMatchObject({ kind: 'logo', columns: [{ label: '2' }] });
    expect(logoSection({ title: 'x', sequences: ['MA', 'M'] })).toBeUndefined();
    expect(logoSection({ title: 'x', sequences: ['MA', 'MA'] })).toBeUndefined();
  });

  it('is made of what is predicted highest, and of each class', () => {
    const sequences = Array.from({ length: 40 }, (_, i) => (i < 20 ? 'AC' : 'GT') + 'ACGT'[i % 4]!);
    const [high] = highestLogo('fitness', sequences, sequences.map((_, i) => i)); // prettier-ignore
    expect(high).toMatchObject({ title: 'Predicted highest: fitness', columns: [{ label: '3' }] });
    expect(high!.text).toContain('2.00 bits');
    const classes = classLogos(['low', 'high'], sequences, sequences.map((_, i) => +(i >= 20))); // prettier-ignore
    expect(classes.map(({ title }) => title)).toEqual(['Taken for low', 'Taken for high']);
    expect(classLogos(['a'], ['A', 'AA'], [0, 0])).toEqual([]);
  });
});

it('embeddings are means over residues and windows, without special tokens and padding', async () => {
  const row = (at: number, count: number) => ({ ids: [], types: [], at, count, from: 0 });
  // Record 0 has two windows, of 2 and 1 residues; record 1 has one of 1.
  const rows = [row(1, 2), row(1, 1), row(1, 1)];
  const records = [{ id: 'a' }, { id: 'b' }] as unknown as SequenceDataset<number>['records'];
  const recordOf = [0, 0, 1];
  const dataset = {
    length: 3,
    records,
    recordOf,
    lengths: [4, 3, 3],
    targets: [0, 0],
    get: async (i: number) => ({ index: recordOf[i], record: records[recordOf[i]!], row: rows[i] }),
  } as unknown as SequenceDataset<number>;
  const states: Feeds = {
    hidden: float32([9, 1, 3, 9, 9, 8, 9, 0, 9, 5, 9, 0], [3, 4, 1]),
  };
  let asked: string[] = [];
  const collate = async (examples: readonly SequenceExample<number>[]) => ({
    inputs: { order: int64(examples.map((each) => rows.indexOf(each.row as (typeof rows)[number])), [examples.length]) }, // prettier-ignore
    targets: {},
  });
  const run: ReportRequest['run'] = async ({ order }, which) => {
    asked = [...asked, which];
    const data = Array.from(order!.data as BigInt64Array, (i) => [...(states['hidden']!.data as Float32Array).subarray(4 * Number(i), 4 * Number(i) + 4)]); // prettier-ignore
    return { hidden: float32(data.flat(), [data.length, 4, 1]) };
  };
  const found = await frozenEmbeddings({ dataset, collate, hidden: 'hidden' }, { run, batchSize: 2 });
  expect([...found.data]).toEqual([(1 + 3 + 8) / 3, 5]);
  expect(new Set(asked)).toEqual(new Set(['base']));
  const one = await frozenEmbeddings({ dataset, collate, hidden: 'hidden', records: [1] }, { run, batchSize: 2 });
  expect([...one.data]).toEqual([5]);
});

describe('the deviations of an ensemble', () => {
  it('are right where errors are as large as they say', () => {
    const random = new Random(1);
    const deviation = Array.from({ length: 4000 }, () => 0.5 + random.next());
    const mean = deviation.map(() => 0);
    const measured = deviation.map((each) => 2 * each * random.normal());
    const found = ensembleCalibration({ measured, mean, deviation });
    // Errors are twice as large.
    expect(found.factor).toBeCloseTo(2, 1);
    expect(found.ranking).toBeGreaterThan(0.2);
    // For a normal distribution of deviation 2: what lies within z of it.
    expect(found.coverage[3]).toMatchObject({ level: 0.95 });
    expect(found.coverage[3]!.found).toBeCloseTo(0.673, 1);
    const right = ensembleCalibration({ measured, mean, deviation: deviation.map((each) => 2 * each) });
    right.coverage.forEach(({ level, found: share }) => expect(Math.abs(share - level)).toBeLessThan(0.03));
  });

  it('are no measure where there are none', () => {
    const found = ensembleCalibration({ measured: [1, 2], mean: [1, 1], deviation: [0, 0] });
    expect(found.factor).toBeNaN();
    expect(found.coverage[0]!.found).toBe(0.5);
  });
});

describe('of a small run', () => {
  const RESIDUES = 'ACDEFGHIKLMNPQRSTVWY';
  let model: Model;
  beforeAll(async () => {
    const folder = fileURLToPath(new URL('../fixtures/esmMasked', import.meta.url));
    model = await openModel(folder, { families: scienceFamilies });
  });

  /** Variants of one protein at three sites, whose number is how many are lysine. */
  const records: readonly GivenSequenceRecord[] = (() => {
    const random = new Random(4);
    return Array.from({ length: 120 }, (_, i) => {
      const letters = [...'MKTAYIAKQRQISFVK'];
      for (const site of [3, 7, 9]) letters[site] = random.next() < 0.4 ? 'K' : RESIDUES[random.index(20)]!;
      const count = [3, 7, 9].filter((site) => letters[site] === 'K').length;
      return {
        sequence: letters.join(''),
        values: [count],
        labels: [count > 1 ? 'much' : 'little'],
        split: i < 80 ? ('train' as const) : ('validation' as const),
      };
    });
  })();

  const adapterOf = async (task: Task, seed = 0): Promise<Adapter> => {
    const run = await train(model, { task, steps: 12, batchSize: 16, lr: 5e-3, seed, threads: 1 });
    return (await run.done).adapter;
  };

  const sectionsOf = async (task: Task): Promise<readonly ReportSection[]> => {
    const adapter = await adapterOf(task);
    const own = modelForAdapter<Model>(model, adapter);
    const prepared = await task.prepare(model);
    const session = await own.withOutputs(prepared.outputs ?? []).session({ adapters: { adapter }, threads: 1 });
    try {
      return await prepared.report!({
        run: (inputs, which) => session.run(inputs, { adapter: which === 'base' ? null : 'adapter' }),
        batchSize: 16,
        model: own,
        adapter,
        options: { threads: 1 },
      });
    } finally {
      await session.release();
    }
  };

  const titles = (sections: readonly ReportSection[]): string[] =>
    sections.map(({ kind, title }) => `${kind}: ${title}`);

  test('numbers', async () => {
    const sections = await sectionsOf(sequenceRegression(records));
    expect(titles(sections)).toEqual([
      'table: LoRA against baselines',
      'scatter: Predicted and measured: value',
      'histogram: Errors: value',
      'logo: Predicted highest: value',
    ]);
    const [table] = sections as [Extract<ReportSection, { kind: 'table' }>];
    expect(table.columns).toEqual(['method', 'spearman', 'rmse', 'r2', 'chosen']);
    expect(table.rows.map(([method]) => method)).toEqual([
      'mean',
      'ridge on letters by place',
      'k nearest neighbours on frozen embeddings',
      'ridge on frozen embeddings',
      'LoRA',
    ]);
    expect(table.rows[0]![1]).toBe('–');
    // The number is linear in the letters: nothing is better than a ridge on them, and the report says so.
    expect(table.rows[1]![1]).toMatch(/^0\.9\d+ \(0\.\d+ to (0\.\d+|1)\)$/);
    expect(table.text).toMatch(
      /^spearman \S+ with LoRA, \S+ with ridge on letters by place; difference .*: LoRA is shown (neither to help nor )?to do worse\./,
    );
    expect(Object.keys(table.baselines!)).toEqual(table.rows.slice(0, -1).map(([method]) => method));
    expect(titles(await sectionsOf(sequenceRegression(records, { baselines: false })))[0]).toBe(
      'scatter: Predicted and measured: value',
    );
  });

  test('classes', async () => {
    const found = titles(await sectionsOf(sequenceClassification(records)));
    expect(found).toContain('table: LoRA against baselines');
    expect(found).toContain('lines: ROC curves');
    expect(found).toContain('lines: Precision and recall');
  });

  test('labels', async () => {
    const sections = await sectionsOf(sequenceLabelling(records));
    expect(titles(sections)).toEqual([
      'table: LoRA against baselines',
      'table: Labels',
      'lines: ROC curves',
      'lines: Precision and recall',
    ]);
    expect(sections[0]).toMatchObject({ columns: ['method', 'mAP', 'auroc', 'macroF1', 'chosen'] });
  });

  test('several adapters together', async () => {
    const task = sequenceRegression(records);
    const adapters = { a: await adapterOf(task), b: await adapterOf(task, 1), c: await adapterOf(task, 2) };
    const found = await evaluateEnsemble(model, { task, adapters, threads: 1 });
    const members = Object.values(found.members).map(({ rmse }) => rmse!);
    expect(members).toHaveLength(3);
    expect(new Set(members).size).toBe(3);
    // The mean of answers is never worse than the members on the mean of their squares.
    const squares = members.reduce((sum, each) => sum + each ** 2, 0) / 3;
    expect(found.metrics['rmse']! ** 2).toBeLessThan(squares);
    const [low, high] = found.intervals['rmse']!;
    expect(low < found.metrics['rmse']! && found.metrics['rmse']! < high).toBe(true);
    expect(found.calibration).toHaveLength(1);
    expect(found.calibration![0]!.factor).toBeGreaterThan(0);
    // The command line's way: the same through `evaluate`, with adapters that were saved.
    const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-ensemble-'));
    try {
      await adapters.b.save(join(folder, 'b'));
      // A run has its adapter in a folder of its own.
      await adapters.c.save(join(folder, 'c', 'adapter'));
      const ensemble = [join(folder, 'b'), join(folder, 'c')];
      const set = withEnsemble(task, ensemble);
      const { metrics } = await evaluate(model, { task: set, adapter: adapters.a, threads: 1 });
      const { inside95, deviationFactor, ...rest } = metrics;
      for (const [name, value] of Object.entries(found.metrics)) expect(rest[name]).toBeCloseTo(value, 6);
      expect(inside95).toBeCloseTo(found.calibration![0]!.coverage[3]!.found, 6);
      expect(deviationFactor).toBeCloseTo(found.calibration![0]!.factor, 5);
      await expect(evaluate(model, { task: set, threads: 1 })).rejects.toThrow(/Name the first of them with --adapter/);
      await expect(train(model, { task: set, steps: 1, threads: 1 }).then(({ done }) => done)).rejects.toThrow(
        /trained one by one/,
      );
      expect(withEnsemble(task, undefined)).toBe(task);
    } finally {
      rmSync(folder, { recursive: true });
    }
    const one = evaluateEnsemble(model, { task, adapters: { a: adapters.a } });
    await expect(one).rejects.toThrow(/two adapters or more, but one was given/);
    const other: Task = {
      name: 'other',
      prepare: async (own) => ({
        ...(await task.prepare(own)),
        metrics: () => ({ update: () => {}, result: () => ({}) }),
      }),
    };
    const alien = evaluateEnsemble(model, { task: other, adapters });
    await expect(alien).rejects.toThrow(/task "other" have no mean over adapters/);
    const classes = evaluateEnsemble(model, { task: sequenceClassification(records), adapters });
    await expect(classes).rejects.toThrow(/other labels than the adapters: little, much/);
  });
});
