/** @file Scans of all single substitutions. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { attachHead, int64, type Model, modelForAdapter, openModel, train } from '@onnx-lora/sdk';
import { beforeAll, describe, expect, test } from 'vitest';
import { esm } from '../families/esm.ts';
import { letters } from '../../../sequences/src/fixtures/letters.ts';
import { sequenceRegression } from '../tasks/classification/sequenceTasks.ts';
import { mutationScan, residuesFor } from './mutationScan.ts';
import { scanSection } from '../tasks/variants/scanPredictor.ts';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const vocabulary = readFileSync(path.join(fixtures, 'esmMasked/vocab.txt'), 'utf8').split('\n');
const sequence = 'MQYKLILNGK';
const twenty = [...'ACDEFGHIKLMNPQRSTVWY'];

let model: Model;
let headed: Model;
beforeAll(async () => {
  model = await openModel(path.join(fixtures, 'esmMasked'), { families: [esm] });
  const { module: inPlaceOf } = model.featuresOf('logits')!;
  const attach = { pool: 'mean', mask: 'attention_mask', inPlaceOf } as const;
  headed = attachHead(model, { output: 'logits', labels: ['fitness', 'binding'], attach }).model;
});

describe('by likelihood', () => {
  test('a substitution has its own score, and a residue of the wild type none', async () => {
    const golden = JSON.parse(readFileSync(path.join(fixtures, 'variantScores.json'), 'utf8')) as {
      tiny: { wildType: string; scores: { additive: number[] } };
    };
    const { wildType, scores: expected } = golden.tiny;
    const { residues, scores } = await mutationScan(model, wildType);
    expect(residues.toSorted()).toEqual(twenty);
    expect(scores.map((row) => row.length)).toEqual([...wildType].map(() => 20));
    const at = (position: number, to: string): number => scores[position - 1]![residues.indexOf(to)]!;
    // Q2W, and K4A:N8G as the sum of both.
    expect(at(2, 'W')).toBeCloseTo(expected.additive[0]!, 4);
    expect(at(4, 'A') + at(8, 'G')).toBeCloseTo(expected.additive[1]!, 4);
    for (const [i, own] of [...wildType].entries()) expect(at(i + 1, own)).toBe(0);
  });

  test('of some residues only', async () => {
    const { residues, scores } = await mutationScan(model, sequence, { residues: ['A', 'K'], method: 'wild-type-marginals' }); // prettier-ignore
    expect(residues).toEqual(['A', 'K']);
    expect(scores[3]![1]).toBe(0);
    expect(scores.flat().filter((score) => score !== 0)).toHaveLength(18);
  });
});

describe('by a model that predicts numbers', () => {
  /** Its prediction for a sequence by itself. */
  async function predicted(text: string, value: number): Promise<number> {
    const session = await headed.session();
    const ids = [0, ...[...text].map((letter) => vocabulary.indexOf(letter)), 2];
    const dims = [1, ids.length];
    const feeds = { input_ids: int64(ids, dims), attention_mask: int64(ids.map(() => 1), dims) }; // prettier-ignore
    const { logits } = await session.run(feeds);
    await session.release();
    return Number(logits!.data[value]);
  }

  test('a score is the change of what is predicted', async () => {
    const scan = await mutationScan(headed, sequence, { by: 'model', value: 'binding', batchSize: 7 });
    const wild = await predicted(sequence, 1);
    for (const [position, to] of [
      [1, 'A'],
      [5, 'W'],
      [10, 'P'],
    ] as const) {
      // prettier-ignore
      const mutant = `${sequence.slice(0, position - 1)}${to}${sequence.slice(position)}`;
      const score = scan.scores[position - 1]![scan.residues.indexOf(to)]!;
      expect(Math.abs(score)).toBeGreaterThan(1e-6);
      expect(score).toBeCloseTo((await predicted(mutant, 1)) - wild, 6);
    }
  });

  test('the model may be a base whose adapter brings the head', async () => {
    const records = ['MKTAYIAK', 'MKTWWIAK', 'GGTAYPAK', 'MLLLYIAK'].map((each, i) => ({
      sequence: each,
      values: [i],
    }));
    const task = sequenceRegression(records, { validation: 0 });
    const { adapter } = await (await train(model, { task, lora: { r: 2 }, steps: 3, lr: 1e-2, batchSize: 4 })).done;
    const options = { by: 'model', residues: ['A', 'W'] } as const;
    const { scores } = await mutationScan(model, sequence, { ...options, adapter });
    expect(scores.flat().every((score) => Number.isFinite(score))).toBe(true);
    expect(await mutationScan(modelForAdapter(model, adapter), sequence, { ...options, adapter })).toMatchObject({
      scores,
    });
    // Such an adapter says nothing of single tokens.
    await expect(mutationScan(model, sequence, { adapter })).rejects.toThrow(
      'gives "logits" [batch, 1], not scores of tokens [batch, tokens, vocabulary]: it was trained for another task',
    );
  });

  test('which number is meant must be known', async () => {
    const scan = (value?: string): Promise<unknown> => mutationScan(headed, sequence, { by: 'model', value });
    await expect(scan()).rejects.toThrow('predicts 2 numbers. Choose one by "value": fitness, binding.');
    await expect(scan('colour')).rejects.toThrow('predicts no "colour". It predicts fitness, binding.');
    await expect(mutationScan(model, sequence, { by: 'model' })).rejects.toThrow('predicts no number per sequence');
    await expect(mutationScan(headed, sequence)).rejects.toThrow('gives no scores of tokens');
    const short = mutationScan(headed, sequence, { by: 'model', value: 'fitness', maxLength: 8 });
    await expect(short).rejects.toThrow('"the wild type" has 10 tokens, and the model reads 6 at once');
  });
});

test('bases are put into nucleotides where the model is none of proteins', () => {
  const bases = { ...letters, unknownId: -1, tokens: (text: string) => letters.tokens(text.replaceAll(/[^ACGTN]/g, '~')) }; // prettier-ignore
  expect(residuesFor(bases, 'ACGT')).toEqual([...'ACGT']);
  expect(residuesFor(letters, 'ACGT').toSorted()).toEqual(twenty);
  expect(residuesFor(bases, 'ACDT').toSorted()).toEqual(twenty);
  expect(() => residuesFor(letters, 'CC(=O)O')).toThrow('there is "(" at position 3');
});

test('a heat map has a row for each residue, and marks the wild type', () => {
  const scan = { sequence: 'AB', residues: ['C', 'B'], scores: [[1, 2], [3, 0]] }; // prettier-ignore
  expect(scanSection(scan, 'Title', 'Text')).toMatchObject({
    kind: 'heatmap',
    rows: ['C', 'B'],
    columns: ['A1', 'B2'],
    values: [
      [1, 3],
      [2, 0],
    ],
    centre: 0,
    marked: [[1, 1]],
  });
});
