/** @file Reads a file or a folder of sequences into parts. */

import { stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { quotedNames } from '@onnx-lora/sdk/tasks';
import {
  type FolderEntries,
  openTable,
  readFolder,
  readTable,
  type Split,
  splitInName,
  stemOf,
  textOf,
  wholeTable,
} from '@onnx-lora/sdk/data';
import { openBytes } from '@onnx-lora/sequences';
import { formatOf, formatOfName, isTable, sequenceEndings } from './sequenceFile.ts';
import type { SequenceDataOptions, SequencePart, SequenceRecord } from './sequenceRecord.ts';
import { type WildType, wildTypeBeside } from './wildType.ts';
import { headerFacts, sequenceRecords } from './sequenceRecords.ts';
import { tableRecords } from './table/tableRecords.ts';
import { type FastaRecord, parseFasta } from './formats/fasta.ts';

/** Files of wild types are no data. */
const WILD_TYPE = /^(?:wild[-_ ]?type|wt|reference)\./i;

/**
 * Reads a file, or a folder with a file or folder per split, a file per class, or one file.
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
  const splits = [...filesOf(entries), ...entries.folders].map((name) => ({ name, split: splitInName(name) }));
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
      `"${folder}" has several files that are no splits, tables among them: ${quotedNames(files)}. Name one of the files, or call them train.csv, validation.csv and test.csv.`,
    );
  }
  const parts: SequencePart[] = [];
  for (const name of files) {
    const part = await readPart(join(folder, name), options, wildType);
    const isLabelled = part.records.some(({ labels, values }) => labels ?? values);
    parts.push(isLabelled ? part : withFacts(part, { labels: [stemOf(name.replace(/\.gz$/i, ''))] }));
  }
  return parts;
}

function filesOf({ files }: FolderEntries): string[] {
  return files.filter((name) => formatOfName(name) !== undefined && !WILD_TYPE.test(name));
}

function withFacts(part: SequencePart, facts: { split?: Split; labels?: readonly string[] }): SequencePart {
  return { ...part, records: part.records.map((record): SequenceRecord => ({ ...record, ...facts })) };
}

/** The wild type is the user's, or else searched beside the file. */
async function readPart(
  file: string,
  options: SequenceDataOptions,
  wildType: WildType | undefined,
): Promise<SequencePart> {
  if (extname(file).toLowerCase() === '.json')
    return tableRecords(await readTable(file), options, wildType ?? (await wildTypeBeside(file)));
  const open = await openBytes(file);
  const format = formatOf(file, open.head);
  if (isTable(format)) {
    const table = await wholeTable(file, await openTable(file, open.bytes, format));
    return tableRecords(table, options, wildType ?? (await wildTypeBeside(file)));
  }
  const records: SequenceRecord[] = [];
  const illegal = options.illegal === 'skip' ? 'keep' : 'error';
  for await (const record of sequenceRecords(open, format, illegal)) records.push(record);
  const hasValues = records.every(({ values }) => values !== undefined);
  return {
    records,
    ...(hasValues ? { valueNames: ['TARGET'] } : {}),
    wildType: wildType?.sequence,
    splitBy: 'as the headers say',
    ...(format === 'lines' && /\.smi/i.test(file) ? { alphabet: 'smiles' } : {}),
    warnings: [],
  };
}

const FASTA = /\.(?:fasta|fa|faa)(?:\.gz)?$/i;
const SEQUENCES = /^(?:sequences|seqs)\./i;
const MASK = /^(?:mask|resolved)\./i;
const LABELS = /label/i;

/**
 * The records of `sequences.fasta` with labels by id from another FASTA file of the folder; zeros in `mask.fasta` mark
 * unknown residues. Undefined for other folders.
 */
async function residueFiles(
  folder: string,
  files: readonly string[],
  { illegal }: SequenceDataOptions,
): Promise<SequencePart | undefined> {
  const fasta = files.filter((name) => FASTA.test(name));
  const sequences = fasta.find((name) => SEQUENCES.test(name));
  const mask = fasta.find((name) => MASK.test(name));
  const others = fasta.filter((name) => name !== sequences && name !== mask);
  if (sequences === undefined || others.length === 0) return undefined;
  const labelFiles = others.length > 1 ? others.filter((name) => LABELS.test(name)) : others;
  const [labelFile] = labelFiles;
  if (labelFile === undefined || labelFiles.length > 1) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${folder}" has "${sequences}" and several files that may have the labels of its residues: ${quotedNames(others)}. Keep one of them in the folder.`,
    );
  }
  const labels = await byId(join(folder, labelFile));
  const masks = mask === undefined ? undefined : await byId(join(folder, mask));
  const file = join(folder, sequences);
  const records: SequenceRecord[] = [];
  const { bytes } = await openBytes(file);
  for await (const { id, description, sequence, line } of parseFasta(textOf(file, bytes), file, {
    illegal: illegal === 'skip' ? 'keep' : 'error',
  })) {
    const where = `${file}, line ${line} (${id.slice(0, 60)})`;
    const label = labels.get(id);
    if (!label) throw lacking(where, labelFile);
    const known = masks?.get(id)?.sequence;
    if (masks && known?.length !== label.sequence.length) throw lacking(where, mask!);
    const residues = [...label.sequence].map((each, i) => (known?.[i] === '0' ? null : each));
    const facts = { ...headerFacts(description, where), ...headerFacts(label.description, where) };
    records.push({ id, sequence, residues, ...facts, where });
  }
  return { records, splitBy: 'as the headers say', warnings: [] };
}

async function byId(file: string): Promise<Map<string, FastaRecord>> {
  const found = new Map<string, FastaRecord>();
  const { bytes } = await openBytes(file);
  for await (const record of parseFasta(textOf(file, bytes), file, { illegal: 'keep' })) found.set(record.id, record);
  return found;
}

function lacking(where: string, file: string): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${where}: "${file}" has not as many letters for it. Every sequence needs a record with the same id in it, with a letter for each residue.`,
  );
}
