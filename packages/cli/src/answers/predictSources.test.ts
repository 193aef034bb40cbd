/** @file Sources in a folder. */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../fixtures/call.ts';
import { predictSources, requireSources } from './predictSources.ts';

test('files of a folder come by name, each once, though a link leads back to it', () => {
  const folder = temporaryFolder();
  mkdirSync(path.join(folder, 'in'));
  for (const name of ['b10.wav', 'b9.WAV', 'notes.txt', 'in/c.wav']) writeFileSync(path.join(folder, name), '');
  symlinkSync(folder, path.join(folder, 'in', 'back'), 'dir');
  symlinkSync(path.join(folder, 'b9.WAV'), path.join(folder, 'in', 'link.wav'));
  const names = ['b9.WAV', 'b10.wav', 'in/c.wav', 'in/link.wav'];
  expect(predictSources([folder, '-'], ['.wav'])).toEqual([...names.map((name) => path.join(folder, name)), '-']);
});

test('what is installed or hidden in a folder is not asked about', () => {
  const folder = temporaryFolder();
  for (const inner of ['node_modules/pkg', '.cache', 'data']) {
    mkdirSync(path.join(folder, inner), { recursive: true });
    writeFileSync(path.join(folder, inner, 'a.wav'), '');
  }
  expect(predictSources([folder], ['.wav'])).toEqual([path.join(folder, 'data/a.wav')]);
  expect(predictSources([path.join(folder, 'node_modules')], ['.wav'])).toHaveLength(1);
});

test('an ending of two parts is one', () => {
  const folder = temporaryFolder();
  for (const name of ['a.FASTA.gz', 'b.csv.gz', 'c.fasta', 'fasta.gz']) writeFileSync(path.join(folder, name), '');
  const found = ['a.FASTA.gz', 'c.fasta'].map((name) => path.join(folder, name));
  expect(predictSources([folder], ['.fasta', '.fasta.gz'])).toEqual(found);
});

test('what is not there is told of', () => {
  const folder = temporaryFolder();
  const missing = path.join(folder, 'nope.txt');
  expect(() => requireSources([folder, '-'])).not.toThrow();
  expect(() => requireSources([folder, missing])).toThrow(`There is no file or folder "${missing}". Check the path.`);
});
