/** @file Zero-shot scores against measurements. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, loadAdapter, type Model, openModel, train } from '@onnx-lora/sdk';
import { beforeAll, describe, expect, test } from 'vitest';
import type { GivenSequenceRecord } from '../../data/sequenceRecord.ts';
import { parseMutations } from '../../data/mutations.ts';
import { esm } from '../../families/esm.ts';
import { scoreVariants } from '../../variants/variantScorer.ts';
import { variantEffect } from './variantEffect.ts';

const fixtures = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const { tiny } = JSON.parse(readFileSync(path.join(fixtures, 'variantScores.json'), 'utf8')) as {
  tiny: { wildType: string; variants: string[]; scores: Record<string, number[]> };
};
const { wildType } = tiny;

let model: Model;
beforeAll(async () => {
  model = await openModel(path.join(fixtures, 'esmMasked'), { families: [esm] });
});

function record(mutations: string, value: number, more: Partial<GivenSequenceRecord> = {}): GivenSequenceRecord {
  const substitutions = parseMutations(mutations);
  const letters = [...wildType];
  for (const { position, to } of substitutions) letters[position - 1] = to;
  return { id: mutations, sequence: letters.join(''), substitutions, values: [value], ...more };
}

describe('the order of scores is compared with that of measurements', () => {
  // By the golden scores: K4A:N8G is the lowest, then the wild type, Q2W, and M1L:Y3F:A20V the highest.
  const records = [
    record('M1L:Y3F:A20V', 9),
    record('Q2W', 2.5),
    record('K4A:N8G', -3),
    record('WT', 1),
    record('Q2W', Number.NaN),
  ];

  test('in full agreement', async () => {
    const { metrics, examples, intervals } = await evaluate(model, { task: variantEffect(records, { wildType }) });
    expect(Object.keys(metrics)).toEqual(['spearman', 'pearson']);
    expect(metrics['spearman']).toBeCloseTo(1, 9);
    expect(examples).toBe(4);
    // SciPy's pearsonr of the golden scores.
    expect(metrics['pearson']).toBeCloseTo(0.995_667_2, 5);
    const [low, high] = intervals!['pearson']!;
    expect(low <= metrics['pearson']! && metrics['pearson']! <= high).toBe(true);
  });

  test('in disagreement, and on the first few', async () => {
    const other = records.map((each) => ({ ...each, values: [-each.values![0]!] }));
    const against = await evaluate(model, { task: variantEffect(other, { wildType }) });
    expect(against.metrics['spearman']).toBeCloseTo(-1, 9);
    const swapped = [record('Q2W', 9), record('M1L:Y3F:A20V', 2), record('K4A:N8G', -3)];
    const { metrics, examples } = await evaluate(model, { task: variantEffect(swapped, { wildType }), limit: 2 });
    expect(metrics['spearman']).toBeCloseTo(-1, 9);
    expect(examples).toBe(2);
  });

  test('of whole sequences where there is no wild type', async () => {
    const plain = records.map(({ sequence, values }) => ({ sequence, values: values! }));
    const { metrics } = await evaluate(model, { task: variantEffect(plain, { method: 'pseudo-perplexity' }) });
    expect(metrics['spearman']).toBeCloseTo(1, 9);
    await expect(evaluate(model, { task: variantEffect(plain) })).rejects.toThrow('it is not known. Give the sequence');
  });

  test('with an adapter, whose scores are others', async () => {
    const adapter = await loadAdapter(path.join(fixtures, 'esmMasked/adapter'));
    const options = { wildType, method: 'wild-type-marginals' } as const;
    const own = await evaluate(model, { task: variantEffect(records, options), adapter });
    const base = await evaluate(model, { task: variantEffect(records, options) });
    const scores = await scoreVariants(model, wildType, records.slice(0, 4).map(({ substitutions }) => ({ substitutions: substitutions! })), { method: options.method, adapter }); // prettier-ignore
    expect(own.metrics['pearson']).toBeCloseTo(pearson(scores, [9, 2.5, -3, 1]), 9);
    expect(own.metrics['pearson']).not.toBeCloseTo(base.metrics['pearson']!, 4);
  });
});

test('of the data all is measured, or the part that is asked for', async () => {
  const records = [
    record('Q2W', 2, { split: 'train' }),
    record('K4A', 1, { split: 'train' }),
    record('N8G', 3, { split: 'validation' }),
    record('G9A', 5, { split: 'validation' }),
    record('L12S', 4, { split: 'test' }),
  ];
  const count = async (options = {}): Promise<number> =>
    (await evaluate(model, { task: variantEffect(records, { wildType, ...options }) })).examples;
  expect(await count()).toBe(5);
  expect(await count({ evalSplit: 'validation' })).toBe(2);
  expect(await count({ value: 'value' })).toBe(5);
  await expect(count({ value: 'colour' })).rejects.toThrow('The data have no measurement "colour". They have value.');
});

test('variants that cannot be scored are named, or left out', async () => {
  const records = [
    record('Q2W', 2),
    { sequence: `${wildType}A`, values: [1], where: 'v.csv, line 3' },
    record('N8G', 3),
    record('M1L:Y3F:A20V', 4),
  ];
  const task = variantEffect(records, { wildType });
  await expect(evaluate(model, { task })).rejects.toThrow('The variant "v.csv, line 3" has 21 residues');
  const { examples, badSamples } = await evaluate(model, { task, onBadSample: 'skip' });
  expect([examples, badSamples?.map(({ example }) => example)]).toEqual([3, [1]]);
});

test('nothing is trained by it', async () => {
  const task = variantEffect([record('Q2W', 2), record('N8G', 3)], { wildType });
  await expect(train(model, { task, lora: { r: 2 }, steps: 1 })).rejects.toThrow(
    'The task variant-effect measures (evaluate) and answers (predict); nothing is trained by it. To learn from measurements, train the task sequence-regression',
  );
});

function pearson(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;
  const [x, y] = [a.map((each) => each - mean(a)), b.map((each) => each - mean(b))];
  const dot = (p: readonly number[], q: readonly number[]): number => p.reduce((sum, each, i) => sum + each * q[i]!, 0);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}
