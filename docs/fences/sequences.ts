/** @file A few of the sequences in docs/examples/data, in the forms that readers have theirs. */

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from './fences.ts';
import type { Fixture } from './fixtures.ts';

function linesOf(file: string): string[] {
  return readFileSync(path.join(root, 'docs/examples/data', file), 'utf8')
    .trimEnd()
    .split('\n');
}

/** Evenly spread rows of a table. */
export function rowsOf(table: string, count: number): Fixture {
  return (file) => {
    const [header, ...rows] = linesOf(table);
    const kept = Array.from({ length: count }, (_, i) => rows[Math.floor((i * rows.length) / count)]!);
    writeFileSync(file, [header, ...kept].join('\n'));
  };
}

/** Variants of GB1: the first are measured to train on, in each of FLIP's splits, and the last to test. */
export const variants: Fixture = (file) => {
  const [header, ...rows] = linesOf('gb1/gb1.csv');
  writeFileSync(file, [header, ...rows.slice(0, 5), ...rows.slice(-5)].join('\n'));
  writeFileSync(path.join(path.dirname(file), 'wild-type.fasta'), linesOf('gb1/wild-type.fasta').join('\n'));
};

/** The beginnings of some proteins. */
export const proteins: Fixture = (file) => {
  const lines = linesOf('proteins/uniprot.fasta');
  const text = lines.slice(0, 20).map((line) => (line.startsWith('>') ? line : line.slice(0, 40))).join('\n'); // prettier-ignore
  writeFileSync(file, file.endsWith('.gz') ? gzipSync(text) : text);
};

/** Proteins of known families, not divided into parts. */
export function families(count: number): Fixture {
  return (file) => {
    const rows = linesOf('proteins/families.csv').slice(1).map((row) => row.split(',')); // prettier-ignore
    const kept = Array.from({ length: count }, (_, i) => rows[Math.floor((i * rows.length) / count)]!);
    const text = kept.map(([id, family, , sequence]) => `${id},${family},${sequence!.slice(0, 50)}`);
    writeFileSync(file, ['id,family,sequence', ...text].join('\n'));
  };
}
