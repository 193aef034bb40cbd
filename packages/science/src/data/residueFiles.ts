/** @file Reads labels of residues that stand in FASTA files beside their sequences, as of biotrainer and FLIP. */

import { join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { listed } from '@onnx-lora/sdk/tasks';
import { type FastaRecord, parseFasta } from './formats/fasta.ts';
import { openBytes, textOf } from './openBytes.ts';
import { headerFacts } from './headerFacts.ts';
import type { SequencePart } from './sequencePart.ts';
import type { SequenceRecord } from './sequenceRecord.ts';
import type { SequenceDataOptions } from './sequenceSource.ts';

const FASTA = /\.(?:fasta|fa|faa)(?:\.gz)?$/i;
const SEQUENCES = /^(?:sequences|seqs)\./i;
const MASK = /^(?:mask|resolved)\./i;
const LABELS = /label/i;

/**
 * The records of `sequences.fasta` with the labels that another FASTA file of the folder has for the same ids, and `mask.fasta`, whose
 * zeros stand for residues that are not known; undefined where the folder is none of these.
 *
 * @param files names of the files in the folder
 * @throws OnnxLoraError `DATA_INVALID`, naming file and record
 */
export async function residueFiles(
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
      `"${folder}" has "${sequences}" and several files that may have the labels of its residues: ${listed(others)}. Keep one of them in the folder.`,
    );
  }
  const labels = await byId(join(folder, labelFile));
  const masks = mask === undefined ? undefined : await byId(join(folder, mask));
  const file = join(folder, sequences);
  const records: SequenceRecord[] = [];
  const { bytes } = await openBytes(file);
  for await (const { id, description, sequence, line } of parseFasta(textOf(bytes), file, {
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
  for await (const record of parseFasta(textOf(bytes), file, { illegal: 'keep' })) found.set(record.id, record);
  return found;
}

function lacking(where: string, file: string): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${where}: "${file}" has not as many letters for it. Every sequence needs a record with the same id in it, with a letter for each residue.`,
  );
}
