/** @file Reads a file or a folder of sequences into parts. */

import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { listed } from '@onnx-lora/sdk/tasks';
import { type FolderEntries, readFolder, type Split, splitNames } from '@onnx-lora/sdk/data';
import { readPart } from './readPart.ts';
import { formatOfName, isTable, sequenceEndings } from './sequenceFormat.ts';
import { residueFiles } from './residueFiles.ts';
import type { SequencePart } from './sequencePart.ts';
import type { SequenceRecord } from './sequenceRecord.ts';
import type { SequenceDataOptions } from './sequenceSource.ts';
import type { WildType } from './wildType.ts';

/** Words in the names of files that say nothing of what is in them. */
const EMPTY_WORDS: readonly string[] = ['data', 'sequences', 'set', 'split'];
/** A wild type's file is no data. */
const WILD_TYPE = /^(?:wild[-_ ]?type|wt|reference)\./i;

/**
 * The parts of a file, or of a folder: with a file or folder for each split, with a file for each class, or with one file.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming what is wrong
 */
export async function readLayout(
  path: string,
  options: SequenceDataOptions,
  wildType: WildType | undefined,
): Promise<SequencePart[]> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) return [await readPart(path, options, wildType)];
  const entries = await readFolder(path);
  const splits = [...filesOf(entries), ...entries.folders].map((name) => ({ name, split: splitOfName(name) }));
  const named = splits.filter(({ split }) => split !== undefined);
  if (named.length > 0) {
    const parts: SequencePart[] = [];
    for (const { name, split } of named) {
      const read = entries.folders.includes(name)
        ? await readFiles(join(path, name), options, wildType)
        : [await readPart(join(path, name), options, wildType)];
      parts.push(
        ...read.map((part) => ({ ...withFacts(part, { split: split! }), splitBy: 'as the names of the files say' })),
      );
    }
    return parts;
  }
  return readFiles(path, options, wildType);
}

/** The parts of a folder: one file, or one for each class. */
async function readFiles(
  folder: string,
  options: SequenceDataOptions,
  wildType: WildType | undefined,
): Promise<SequencePart[]> {
  const entries = await readFolder(folder);
  const files = filesOf(entries);
  if (files.length === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${folder}" has no files of sequences: they end in ${sequenceEndings.filter((each) => !each.endsWith('.gz')).join(', ')}, or in these with .gz. Name a file, or a folder with some.`,
    );
  }
  const residues = await residueFiles(folder, files, options);
  if (residues) return [residues];
  const [first] = files;
  if (files.length === 1) return [await readPart(join(folder, first!), options, wildType)];
  const tables = files.filter((name) => isTable(formatOfName(name)!));
  if (tables.length > 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${folder}" has several files that are no splits, tables among them: ${listed(files)}. Name one of the files, or call them train.csv, validation.csv and test.csv.`,
    );
  }
  const parts: SequencePart[] = [];
  for (const name of files) {
    const part = await readPart(join(folder, name), options, wildType);
    const isLabelled = part.records.some(({ labels, values }) => labels ?? values);
    parts.push(isLabelled ? part : withFacts(part, { labels: [stemOf(name)] }));
  }
  return parts;
}

function filesOf({ files }: FolderEntries): string[] {
  return files.filter((name) => formatOfName(name) !== undefined && !WILD_TYPE.test(name));
}

/** Records with what the name of their file says. */
function withFacts(part: SequencePart, facts: { split?: Split; labels?: readonly string[] }): SequencePart {
  return { ...part, records: part.records.map((record): SequenceRecord => ({ ...record, ...facts })) };
}

function stemOf(name: string): string {
  return basename(name)
    .replace(/\.gz$/i, '')
    .replace(/\.[^.]*$/, '');
}

/** The split that a name names: `train.csv`, `test_sequences.fasta`, `valid`. */
function splitOfName(name: string): Split | undefined {
  const words = stemOf(name)
    .toLowerCase()
    .split(/[-_.]/)
    .filter((word) => !EMPTY_WORDS.includes(word));
  return words.length === 1 ? splitNames.get(words[0]!) : undefined;
}
