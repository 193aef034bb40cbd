/** @file Scores and scans of the records of files, as the command line asks for them. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Model, openModel } from '@onnx-lora/sdk';
import type { Prediction, Predictor } from '@onnx-lora/sdk/tasks';
import type { SettingValue } from '@onnx-lora/sdk/plugin';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { esm } from '../../families/esm.ts';
import { mutationScanTask, variantEffectTask } from './variantFactories.ts';

const fixtures = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const { tiny } = JSON.parse(readFileSync(path.join(fixtures, 'variantScores.json'), 'utf8')) as {
  tiny: { wildType: string; variants: string[]; indels: string[]; scores: Record<string, number[]>; wildTypeLogLikelihood: number }; // prettier-ignore
};
const { wildType, scores } = tiny;
const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-variant-answers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let model: Model;
beforeAll(async () => {
  model = await openModel(path.join(fixtures, 'esmMasked'), { families: [esm] });
});

function file(name: string, text: string): string {
  const made = path.join(folder, name);
  writeFileSync(made, text);
  return made;
}

/** All answers, after the first few, and how much of the file each has read. */
async function answered(
  predictor: Predictor,
  source: string | AsyncIterable<Uint8Array>,
  skip = 0,
): Promise<{ readonly answers: Prediction[]; readonly read: (number | undefined)[] }> {
  const [answers, read]: [Prediction[], (number | undefined)[]] = [[], []];
  for await (const answer of predictor.predict([source], { skip, batchSize: 3 })) {
    answers.push(answer.prediction);
    read.push(answer.read);
  }
  return { answers, read };
}

function expectClose(answers: readonly Prediction[], expected: readonly number[]): void {
  expect(answers.map(({ score }) => Math.round(Number(score) * 1e4))).toEqual(expected.map((each) => Math.round(each * 1e4))); // prettier-ignore
}

describe('variant-effect', () => {
  const open = (settings: Record<string, SettingValue>): Promise<Predictor> =>
    variantEffectTask.predictor(model, { settings });
  const table = (): string => file('variants.csv', ['mutant', ...tiny.variants].join('\n'));

  test('scores a table of mutations against a wild type', async () => {
    const predictor = await open({ wildType });
    const { answers, read } = await answered(predictor, table());
    expectClose(answers, scores['additive']!);
    expect(answers.map(({ id }) => id)).toHaveLength(3);
    expect(read.at(-1)).toBeGreaterThan(20);
    // Existing answers are left out.
    expect((await answered(predictor, table(), 2)).answers).toEqual(answers.slice(2));
    await predictor.release();
  });

  test('scores sequences by the method that is chosen', async () => {
    const sequences = tiny.indels.map((sequence, i) => `>indel ${i}\n${sequence}\n`).join('');
    const predictor = await open({ wildType, method: 'pseudo-perplexity' });
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(new TextEncoder().encode(sequences));
    }
    expectClose((await answered(predictor, bytes())).answers, scores['pseudoPerplexity']!.slice(3));
    await predictor.release();
    const alone = await open({ method: 'pseudo-log-likelihood' });
    expectClose((await answered(alone, file('one.fasta', `>one\n${wildType}\n`))).answers, [
      tiny.wildTypeLogLikelihood,
    ]);
    await alone.release();
  });

  test('tells what is missing or wrong', async () => {
    const fasta = file('two.fasta', `>one\n${wildType}\n>two\n${wildType}A\n`);
    const without = await open({});
    await expect(answered(without, fasta)).rejects.toThrow('it is not known. Give the sequence');
    await without.release();
    const marginals = await open({ wildType });
    await expect(answered(marginals, fasta)).rejects.toThrow(/The variant ".*two.*" has 21 residues/);
    await marginals.release();
    await expect(open({ method: 'masked' })).rejects.toThrow('The setting method must be one of masked-marginals,');
  });
});

describe('mutation-scan', () => {
  const open = (settings: Record<string, SettingValue> = {}): Promise<Predictor> =>
    mutationScanTask.predictor(model, { settings });

  test('answers with every substitution of every sequence', async () => {
    const fasta = file('scan.fasta', `>one\n${wildType}\n>two\nMKX\n`);
    const predictor = await open();
    const { answers } = await answered(predictor, fasta);
    expect(answers).toHaveLength(20 * 19 + 19 + 19 + 20);
    expect(new Set(answers.map(({ id, mutation }) => `${String(id)} ${String(mutation)}`)).size).toBe(answers.length);
    expectClose(answers.filter(({ mutation, id }) => mutation === 'Q2W' && id === 'one'), [scores['additive']![0]!]); // prettier-ignore
    expect(answers.at(-1)).toMatchObject({ id: 'two', mutation: 'X3R' });
    expect(predictor.sections!().map(({ title, kind }) => [title, kind])).toEqual([
      ['Substitutions of one', 'heatmap'],
      ['Substitutions of two', 'heatmap'],
    ]);
    // In the middle of the first, and of the second.
    for (const skip of [3, 385]) expect((await answered(predictor, fasta, skip)).answers).toEqual(answers.slice(skip));
    await predictor.release();
  });

  test('of some residues, and names what it cannot scan', async () => {
    const predictor = await open({ residues: 'a, k' });
    expect((await answered(predictor, file('short.fasta', '>one\nMKT\n'))).answers.map(({ mutation }) => mutation)).toEqual(['M1A', 'M1K', 'K2A', 'T3A', 'T3K']); // prettier-ignore
    await predictor.release();
    await expect(open({ residues: '12' })).rejects.toThrow(
      'The setting residues must be the letters to put in, such as ACDEFGHIKLMNPQRSTVWY, but it is "12"',
    );
    const all = await open({ alphabet: 'smiles' });
    await expect(answered(all, file('m.csv', 'id,smiles\na,CC(=O)O\n'))).rejects.toThrow(/m\.csv.*there is "\(" at position 3/s); // prettier-ignore
    await all.release();
  });

  test('is not trained', async () => {
    const task = mutationScanTask.create({ data: 'x.csv', seed: 0 });
    await expect(task.prepare(model)).rejects.toThrow('The task mutation-scan only answers (predict)');
  });
});
