/** @file Metric learning on sequences. */

import { fileURLToPath } from 'node:url';
import { evaluate, float32, type Model, openModel, train } from '@onnx-lora/sdk';
import { ExampleSet, Random } from '@onnx-lora/sdk/data';
import { embeddingsBy, kindsOf, pooledTokens } from '@onnx-lora/sequences';
import { beforeAll, describe, expect, it } from 'vitest';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import { scienceFamilies } from '../../families/index.ts';
import { openSequenceEmbedder, sequenceRetrieval, sequenceRetrievalTask } from './sequenceEmbedding.ts';

let model: Model;
beforeAll(async () => {
  const folder = fileURLToPath(new URL('../../fixtures/esmMasked', import.meta.url));
  model = await openModel(folder, { families: scienceFamilies });
});

/** Families of two residues each, twice among others that are drawn. */
const random = new Random(3);
const families: readonly SequenceRecord[] = ['WC', 'HM', 'DP'].flatMap((motif, family) =>
  Array.from({ length: 6 }, (_, i) => {
    const drawn = (): string => Array.from({ length: 6 }, () => 'AGLSKEVT'[random.index(8)]).join('');
    return {
      id: `${motif}${i}`,
      sequence: `${drawn()}${motif}${drawn()}${motif}${drawn()}`,
      labels: [`family ${family}`],
      where: `${motif} ${i}`,
    };
  }),
);

it('sequences of one family come to lie together', async () => {
  const task = sequenceRetrieval({ train: families, validation: families, warnings: [] });
  const before = await evaluate(model, { task });
  const lora = { r: 4, targetModules: 'all-linear' } as const;
  const run = await train(model, { task, lora, steps: 40, batchSize: 6, lr: 5e-3, threads: 1 });
  const { adapter } = await run.done;
  const after = await evaluate(model, { task, adapter });
  expect(after.metrics['queries']).toBe(families.length);
  expect(after.metrics['mapAtR']!).toBeGreaterThan(before.metrics['mapAtR']! + 0.2);
});

it('the loss is that of the embeddings that an embedder gives', async () => {
  const four = [0, 1, 6, 7].map((i) => families[i]!);
  const embedder = await openSequenceEmbedder(model);
  const { dims, data } = await embedder.embed(four);
  await embedder.release();
  const width = dims[1]!;
  const [a, b, c, d] = [0, 1, 2, 3].map((row) => unit(Array.from(data.slice(row * width, (row + 1) * width), Number)));
  const run = await train(model, {
    task: sequenceRetrieval({ train: four, warnings: [] }, { loss: 'info-nce', temperature: 0.5 }),
    lora: { r: 2, targetModules: ['query'] },
    steps: 1,
    batchSize: 2,
    lr: 1e-9,
    threads: 1,
  });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  await run.done;
  const cross = (row: number[], at: number): number => Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0)) - row[at]!; // prettier-ignore
  const loss = (left: number[][], right: number[][]): number => {
    const table = left.map((x) => right.map((y) => x.reduce((sum, value, i) => sum + value * y[i]!, 0) / 0.5));
    const columns = right.map((_, j) => table.map((row) => row[j]!));
    return (cross(table[0]!, 0) + cross(table[1]!, 1) + cross(columns[0]!, 0) + cross(columns[1]!, 1)) / 4;
  };
  // Which of a pair stands first is drawn, and its rows and columns are both compared.
  const ways = [loss([a!, c!], [b!, d!]), loss([a!, d!], [b!, c!])];
  expect(Math.min(...ways.map((way) => Math.abs(way - losses[0]!)))).toBeLessThan(1e-4);
});

it('the two of a pair find each other', async () => {
  const pairs = families.slice(0, 6).map(({ id, sequence, where }, i) => {
    return { id, sequence, where, second: families[i + 6]!.sequence };
  });
  const task = sequenceRetrieval({ train: pairs, validation: pairs, warnings: [] }, { loss: 'info-nce' });
  const prepared = await task.prepare(model);
  expect([prepared.train.length, prepared.validation!.length]).toEqual([6, 12]);
  const trained = await ExampleSet.of(prepared.train);
  expect((await trained!.among(prepared.validation!))!.size).toBe(12);
  const group = await prepared.train.get(2, 0);
  expect(group.items.map(({ record }) => record.sequence).sort()).toEqual(
    [pairs[2]!.sequence, pairs[2]!.second].sort(),
  );
  expect((await evaluate(model, { task })).metrics['queries']).toBe(12);
});

describe('kindsOf', () => {
  const record = (more: Partial<SequenceRecord>): SequenceRecord => ({
    id: 'x',
    sequence: 'MK',
    where: 'x.csv, line 2',
    ...more,
  });

  it('is by label, group or partner', () => {
    expect(kindsOf([record({ labels: ['a'], group: 'g' }), record({ group: 'h' })], 'sequence').kinds).toEqual([
      'a',
      'h',
    ]);
    const { records, kinds } = kindsOf(
      [
        record({ second: 'AY', labels: ['1'] }),
        record({ second: 'CC', labels: ['0'] }),
        record({ second: 'DD', labels: ['True'] }),
      ],
      'sequence',
    );
    expect(records.map(({ sequence }) => sequence)).toEqual(['MK', 'AY', 'MK', 'DD']);
    expect(kinds).toEqual(['pair 1', 'pair 1', 'pair 3', 'pair 3']);
    expect(records.every(({ second }) => second === undefined)).toBe(true);
  });

  it('names a record of which nothing is known', () => {
    expect(() => kindsOf([record({})], 'sequence')).toThrow('x.csv, line 2 has no label, no group and no partner');
    expect(() => kindsOf([record({ labels: ['a', 'b'] })], 'sequence')).toThrow('has 2 labels');
    expect(() => kindsOf([record({ second: 'AY', labels: ['weak'] })], 'sequence')).toThrow('this one has "weak"');
  });
});

it('weighs tokens of the sequence alike, and no others', () => {
  const row = (count: number) => ({ ids: [], types: [], at: 1, count, from: 0 });
  const feature = { output: 'x', inner: [], port: { type: 'float32', dims: undefined } } as const;
  const states = float32([9, 1, 3, 9, 9, 5, 9, 9], [2, 4, 1]);
  const mean = embeddingsBy(feature, 'mean')({ x: states }, pooledTokens([row(2), row(1)], 'mean'));
  expect([...mean.data]).toEqual([2, 5]);
  const first = embeddingsBy(feature, 'mean')({ x: states }, pooledTokens([row(2), row(1)], 'first'));
  expect([...first.data]).toEqual([9, 9]);
  const framed = [row(2), row(1)].map((each, i) => ({ ...each, ids: Array.from({ length: 4 - i }, () => 0) }));
  const most = embeddingsBy(feature, 'max')({ x: float32([-9, -1, -3, -2, -9, -5, -7, 9], [2, 4, 1]) }, pooledTokens(framed, 'max')); // prettier-ignore
  expect([...most.data]).toEqual([-1, -5]);
  expect(() => pooledTokens([{ ...row(2), at: 0 }], 'first')).toThrow('Take the pool mean');
  const broken = float32([Number.NaN], [1, 1, 1]);
  expect(() => embeddingsBy(feature, 'mean')({ x: broken }, {})).toThrow(
    expect.objectContaining({ code: 'LOSS_NOT_FINITE' }),
  );
  expect(() => embeddingsBy(feature, 'mean')({}, {})).toThrow('the session gave nothing');
});

it('says what is wrong with data and options', async () => {
  const prepare = (records: readonly SequenceRecord[], options = {}) =>
    sequenceRetrieval({ train: records, warnings: [] }, options).prepare(model);
  await expect(prepare([families[0]!, families[6]!])).rejects.toThrow('2 kinds, and 0 of them');
  await expect(prepare(families, { tooLong: 'windows' })).rejects.toThrow('reads no windows');
  const alone = { train: families, validation: [families[0]!, families[6]!], warnings: [] };
  await expect(sequenceRetrieval(alone).prepare(model)).rejects.toThrow('none can find another');
  const factory = sequenceRetrievalTask;
  expect(() => factory.create({ data: 'x', seed: 0, settings: { pool: 'residues' } })).toThrow('pool');
  expect(() => factory.create({ data: 'x', seed: 0, settings: { loss: 'arc' } })).toThrow('loss');
});

function unit(row: readonly number[]): number[] {
  const length = Math.hypot(...row);
  return row.map((value) => value / length);
}
