/** @file Tests of sequences on the command line: from a table to an adapter, and from a FASTA file to answers. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { call, callJson, temporaryFolder } from '../../fixtures/call.ts';

const esm = fileURLToPath(new URL('../../../../docs/examples/models/esm2-tiny', import.meta.url));
const data = fileURLToPath(new URL('../../../../docs/examples/data/', import.meta.url));

/** Every so many rows of the fitness of GB1, beside the wild type that they are variants of, so that a test takes seconds. */
function fitness(folder: string, every: number): string {
  const [head, ...rows] = readFileSync(path.join(data, 'gb1/gb1.csv'), 'utf8').trimEnd().split('\n');
  const file = path.join(folder, 'gb1.csv');
  writeFileSync(file, [head, ...rows.filter((_, i) => i % every === 0)].join('\n'));
  // The protein itself; the construct behind it is the same in all variants.
  const [name, wildType] = readFileSync(path.join(data, 'gb1/wild-type.fasta'), 'utf8').split('\n');
  writeFileSync(path.join(folder, 'wild-type.fasta'), `${name}\n${wildType!.slice(0, 56)}\n`);
  return file;
}

it('learns a number with no other flag, says what that buys, and answers for files of any size', async () => {
  const folder = temporaryFolder();
  const out = path.join(folder, 'run');
  const { code, stderr, stdout } = await call([
    'train', '--task', 'sequence-regression', '--data', fitness(folder, 15), '--model', esm, '--epochs', '1', '--out', out, '--json',
  ]); // prettier-ignore
  expect(code, stderr).toBe(0);
  expect(stderr).toContain('divides the data in several ways');
  expect(stderr).toContain('--set columns.split=');
  const { after, intervals } = JSON.parse(stdout) as {
    after: Record<string, number>;
    intervals: Record<string, [number, number]>;
  };
  // The head begins as a probe on frozen features, which tells most of it.
  expect(after['spearman']).toBeGreaterThan(0.3);
  expect(intervals['spearman']![0]).toBeLessThan(after['spearman']!);
  expect(intervals['spearman']![1]).toBeGreaterThan(after['spearman']!);
  const report = readFileSync(path.join(out, 'report.html'), 'utf8');
  for (const title of ['LoRA against baselines', 'ridge on frozen embeddings', 'probability of 95%'])
    expect(report).toContain(title);

  const measured = (...more: string[]): Promise<Record<string, number>> =>
    callJson('eval', esm, '--data', path.join(folder, 'gb1.csv'), '--adapter', out, ...more);
  const held = await measured();
  expect(held['spearman']).toBeCloseTo(after['spearman']!, 10);
  expect(held).toMatchObject({ trainedOn: 0 });
  const all = await measured('--split', 'all');
  expect(all['trainedOn']).toBeGreaterThan(300);
  expect(all['examples']).toBe(held['examples']! + all['trainedOn']!);
  // Also where the data are divided again, by a column that says something else.
  const otherwise = await measured('--set', 'columns.split=two_vs_rest');
  expect(otherwise['leftOut']).toBeGreaterThan(0);
  expect(otherwise).toMatchObject({ trainedOn: 0 });

  const fasta = path.join(folder, 'new.fasta.gz');
  const wildType = readFileSync(path.join(folder, 'wild-type.fasta'), 'utf8').split('\n')[1]!;
  const letters = [...'ACDEFGHIKLMNPQRSTVWY'];
  const records = letters.map((letter) => `>V39${letter}\n${wildType.slice(0, 38)}${letter}${wildType.slice(39)}\n`);
  writeFileSync(fasta, gzipSync(records.join('')));
  const answers = path.join(folder, 'fitness.csv');
  // The task is the one that the adapter was trained for.
  expect((await call(['predict', esm, fasta, '--adapter', out, '--out', answers])).code).toBe(0);
  const lines = readFileSync(answers, 'utf8').trimEnd().split('\n');
  expect(lines[0]).toBe('id,value');
  expect(lines.slice(1).map((line) => line.split(',')[0])).toEqual(letters.map((letter) => `V39${letter}`));
  const told = await callJson<{ id: string; value: number }[]>(
    'predict',
    esm,
    fasta,
    '--adapter',
    out,
    '--batch-size',
    '3',
  );
  told.forEach(({ value }, i) => expect(value).toBeCloseTo(Number(lines[i + 1]!.split(',')[1]), 4));
});

it('leaves a page with a heat map beside the answers of a scan', async () => {
  const folder = temporaryFolder();
  const fasta = path.join(folder, 'peptide.fasta');
  writeFileSync(fasta, '>peptide\nMKTAYIAKQR\n');
  const out = path.join(folder, 'scan.csv');
  const { code, stderr } = await call(['predict', esm, fasta, '--task', 'mutation-scan', '--out', out]);
  expect(code, stderr).toBe(0);
  // Nineteen other residues at ten positions.
  expect(readFileSync(out, 'utf8').trimEnd().split('\n')).toHaveLength(1 + 190);
  expect(stderr).toContain('scan.html');
  expect(readFileSync(path.join(folder, 'scan.html'), 'utf8')).toContain('class="heatmap"');
});

it('names the row, the column and the remedy of what is wrong with the data', async () => {
  const folder = temporaryFolder();
  const file = path.join(folder, 'bad.csv');
  const told = async (text: string, ...flags: string[]): Promise<string> => {
    writeFileSync(file, text);
    const out = path.join(folder, 'run');
    const words = ['train', esm, '--task', 'sequence-regression', '--data', file, '--out', out, ...flags];
    const { code, stderr } = await call(words);
    expect(code).toBe(2);
    expect(existsSync(out)).toBe(false);
    return stderr.replaceAll(file, 'bad.csv');
  };
  expect(await told('\uFEFF"sequence","fitness"\r\n"MKT1A",0.5\r\n')).toMatch(/bad\.csv, line 2.*sequence.*"?1"?/s);
  expect(await told('sequence,fitness\nMKTA,0.5\nMKTV,n/a\n')).toMatch(/bad\.csv, line 3.*fitness.*n\/a/s);
  expect(await told('sequence,fitness\nMKTA,0.5\n,0.7\n')).toMatch(/bad\.csv, line 3.*sequence/s);
  expect(await told('sequence,fitness\nMKTA,0.5\n', '--set', 'columns.values=fitnes')).toMatch(
    /fitnes.*Did you mean "fitness"/s,
  );
});
