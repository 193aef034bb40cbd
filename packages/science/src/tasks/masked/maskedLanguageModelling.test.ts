/** @file Masked-language modelling from a file to answers. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, type Model, modelForAdapter, openModel, type Tensor, train } from '@onnx-lora/sdk';
import type { Prediction, ReportSection } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';
import { openTokenizer } from '@onnx-lora/sequences';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scienceFamilies } from '../../families/index.ts';
import { maskedLanguageModelling, maskedLanguageModellingTask } from './maskedLanguageModelling.ts';

/** Ignored labels: torch's `ignore_index`. */
const NOT_ASKED = -100;

const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-masked-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let model: Model;
beforeAll(async () => {
  model = await openModel(fileURLToPath(new URL('../../fixtures/esmMasked', import.meta.url)), {
    families: scienceFamilies,
  });
});

/** Sequences in which K and E take turns, but for a tenth of the letters. */
function turns(count: number, seed: number): string[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () =>
    Array.from({ length: 12 + random.index(20) }, (_, i) =>
      random.next() < 0.1 ? 'ACDFGHILMN'[random.index(10)] : 'KE'[i % 2],
    ).join(''),
  );
}

function fasta(name: string, sequences: readonly string[]): string {
  const file = join(folder, name);
  writeFileSync(file, sequences.map((sequence, i) => `>${name}${i}\n${sequence}\n`).join(''));
  return file;
}

/** The rows of a table. */
function rowsOf(section: ReportSection | undefined): readonly (readonly (string | number)[])[] {
  return section?.kind === 'table' ? section.rows : [];
}

const numbers = ({ data }: Tensor): number[] => Array.from(data, Number);

describe('masked-language modelling', () => {
  const sequences = turns(120, 1);

  test('makes held-out sequences less surprising, and tells so', async () => {
    const validation = fasta('held', turns(30, 2));
    const task = maskedLanguageModelling(fasta('train', sequences), { validation });
    const before = await evaluate(model, { task, batchSize: 16, threads: 1 });
    // The decoder as well, which all-linear leaves out: the model is random.
    const lora = { targetModules: ['query', 'key', 'value', 'dense', 'decoder'] };
    const run = await train(model, { task, steps: 40, batchSize: 16, lr: 2e-2, lora, threads: 1 });
    const { adapter } = await run.done;
    const after = await evaluate(model, { task, adapter, batchSize: 8, threads: 1 });
    expect(Object.keys(before.metrics)).toEqual(['loss', 'perplexity', 'accuracy']);
    expect(before.metrics['perplexity']).toBeCloseTo(Math.exp(before.metrics['loss']!), 6);
    // A random model guesses among 33 tokens; two letters that take turns, with a tenth of noise, leave 1.8.
    expect(before.metrics['perplexity']).toBeGreaterThan(20);
    expect(after.metrics['perplexity']).toBeLessThan(6);
    expect(after.metrics['accuracy']).toBeGreaterThan(0.4);
    const [low, high] = after.intervals!['perplexity']!;
    expect(low).toBeLessThan(after.metrics['perplexity']!);
    expect(high).toBeGreaterThan(after.metrics['perplexity']!);
    expect(high).toBeLessThan(before.intervals!['perplexity']![0]);

    // Predictions record by record mask the same letters: together they are what was measured.
    const own = modelForAdapter<Model>(model, adapter);
    const predictor = await maskedLanguageModellingTask.predictor(own, { adapter, load: { threads: 1 } });
    const answers: Prediction[] = [];
    for await (const { prediction } of predictor.predict([validation])) answers.push(prediction);
    await predictor.release();
    expect(answers.map(({ id }) => id)).toEqual(Array.from({ length: 30 }, (_, i) => `held${i}`));
    const masked = answers.reduce((sum, each) => sum + Number(each['masked']), 0);
    const loss = answers.reduce((sum, each) => sum + Number(each['masked']) * Math.log(Number(each['perplexity'])), 0);
    expect(loss / masked).toBeCloseTo(after.metrics['loss']!, 4);

    const prepared = await task.prepare(model);
    const session = await model.session({ adapters: { adapter }, threads: 1 });
    const sections = await prepared.report!({
      run: (inputs, which) => session.run(inputs, { adapter: which === 'base' ? null : 'adapter' }),
      batchSize: 16,
      model,
      adapter,
      options: {},
    });
    await session.release();
    const [table, histogram, letters] = sections;
    expect(table).toMatchObject({ kind: 'table', title: 'Perplexity of held-out sequences' });
    const rows = rowsOf(table);
    expect(rows.map(([name]) => name)).toEqual(['frequencies alone', 'model before', 'with the adapter']);
    expect(rows[1]![1]).toBeCloseTo(before.metrics['perplexity']!, 3);
    expect(rows[2]![1]).toBeCloseTo(after.metrics['perplexity']!, 3);
    // Guessing by frequencies: half the letters are K, half E, but for a tenth of ten others.
    expect(Number(rows[0]![1])).toBeGreaterThan(2.5);
    expect(Number(rows[0]![1])).toBeLessThan(4.5);
    expect(table!.text).toContain('It is lower on other sequences of this kind too');
    expect(histogram).toMatchObject({ kind: 'histogram' });
    expect(histogram!.kind === 'histogram' && histogram!.counts.reduce((a, b) => a + b)).toBe(30);
    const frequent = rowsOf(letters)
      .slice(0, 2)
      .map(([letter]) => letter);
    expect(new Set(frequent)).toEqual(new Set(['E', 'K']));
  });

  test('masks again each time it trains, and the same letters each time it measures', async () => {
    const task = maskedLanguageModelling(fasta('more', sequences), { validation: 0.2, splitBy: 'random' });
    const prepared = await task.prepare(model);
    const data = prepared.train;
    const masksOf = async (draw?: number): Promise<number[]> =>
      numbers((await prepared.collate([await data.get(3, draw)])).targets['labels']!);
    expect(await masksOf(1)).not.toEqual(await masksOf(2));
    expect(await masksOf(1)).toEqual(await masksOf(1));
    expect(await masksOf()).toEqual(await masksOf());
    expect(data.isDeterministic).toBeFalsy();
    const fixed = await maskedLanguageModelling(fasta('more', sequences), { validation: 0.2, splitBy: 'random', dynamic: false }).prepare(model); // prettier-ignore
    const same = async (draw: number): Promise<number[]> =>
      numbers((await fixed.collate([await fixed.train.get(3, draw)])).targets['labels']!).filter((label) => label >= 0);
    expect(await same(1)).toEqual(await same(2));
    expect(fixed.train.isDeterministic).toBe(true);
  });

  test('never asks for special tokens, padding or unknown letters', async () => {
    const odd = [{ sequence: 'MKJJKAA' }, { sequence: 'ACDEFGHIKLMNPQRSTVWY' }];
    const prepared = await maskedLanguageModelling(odd, { rate: 0.9 }).prepare(model);
    const data = prepared.train;
    const { inputs, targets } = await prepared.collate([await data.get(0, 0), await data.get(1, 1)]);
    expect(targets['labels']!.dims).toEqual(inputs['input_ids']!.dims);
    const asked = numbers(targets['labels']!).filter((label) => label !== NOT_ASKED);
    expect(asked.length).toBeGreaterThan(15);
    for (const label of asked) {
      expect(label).toBeGreaterThan(3);
      expect(label).toBeLessThan(32);
    }
  });

  test('leaves out sequences without a letter that it knows, and refuses data of them alone', async () => {
    const { train: data, warnings } = await maskedLanguageModelling([{ sequence: 'MKV' }, { sequence: 'JJJ' }]).prepare(model); // prettier-ignore
    expect(data.length).toBe(1);
    expect(warnings!.join()).toContain('1 sequences have no letter that the model knows');
    await expect(maskedLanguageModelling([{ sequence: 'JJ' }]).prepare(model)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('None of the 1 sequences'),
    });
  });

  test('goes with byte pairs of molecules too', async () => {
    const chemberta = await openModel(fileURLToPath(new URL('../../../../../test/fixtures/chemberta-small', import.meta.url)), { families: scienceFamilies }); // prettier-ignore
    const molecules = ['CC(=O)Oc1ccccc1C(=O)O', 'Cn1cnc2c1c(=O)n(C)c(=O)n2C', 'CCO', 'c1ccccc1'];
    const given = molecules.map((sequence) => ({ sequence }));
    const task = maskedLanguageModelling(given, { validation: 0, spanLength: 2 });
    const prepared = await task.prepare(chemberta);
    const { inputs, targets } = await prepared.collate(await Promise.all([0, 1, 2, 3].map((i) => prepared.train.get(i)))); // prettier-ignore
    const ids = numbers(inputs['input_ids']!);
    const asked = numbers(targets['labels']!).flatMap((label, i) => (label === NOT_ASKED ? [] : [[label, ids[i]!]]));
    expect(asked.length).toBeGreaterThanOrEqual(4);
    // Whole rows come back once what was hidden is put in its place.
    const tokenizer = await openTokenizer(chemberta);
    const whole = ids.map((id, i) => (numbers(targets['labels']!)[i] === NOT_ASKED ? id : numbers(targets['labels']!)[i]!)); // prettier-ignore
    const [, length] = inputs['input_ids']!.dims as [number, number];
    for (const [row, molecule] of molecules.entries()) {
      const framed = tokenizer.framed(tokenizer.tokens(molecule).ids).ids;
      expect(whole.slice(row * length, row * length + framed.length)).toEqual(framed);
    }
    const { metrics } = await evaluate(chemberta, { task, threads: 1 });
    expect(metrics['perplexity']).toBeLessThan(384);
  });

  test('refuses models that do not guess tokens', async () => {
    const encoder = { ...model, name: 'encoder', inputs: model.inputs, config: model.config!, folder: model.folder!, outputs: { last_hidden_state: { type: 'float32', dims: ['batch', 'tokens', 32] } } } as never; // prettier-ignore
    await expect(maskedLanguageModelling([{ sequence: 'MKV' }]).prepare(encoder)).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringContaining('"last_hidden_state" float32 [batch, tokens, 32]'),
    });
  });
});
