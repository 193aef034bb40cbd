/** @file File formats of sequences and their endings. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { isUtf16, type TableFormat, textOf, decodePreview } from '@onnx-lora/sdk/data';
import { openBytes } from '@onnx-lora/sequences';
import { type FastaRecord, parseFasta } from './formats/fasta.ts';
import { recordFormats } from './sequenceRecords.ts';

/** File formats of sequences. */
export type SequenceFormat = TableFormat | keyof typeof recordFormats;

const endingsOf: Readonly<Record<SequenceFormat, readonly string[]>> = {
  ...(Object.fromEntries(Object.entries(recordFormats).map(([format, { endings }]) => [format, endings])) as Record<
    keyof typeof recordFormats,
    readonly string[]
  >),
  csv: ['.csv'],
  tsv: ['.tsv', '.tab'],
  jsonl: ['.jsonl', '.ndjson'],
};

const formatOfEnding: ReadonlyMap<string, SequenceFormat> = new Map(
  Object.entries(endingsOf).flatMap(([format, endings]) =>
    endings.map((ending) => [ending, format as SequenceFormat] as const),
  ),
);

/** Endings of sequence files, each also with `.gz`. */
export const sequenceEndings: readonly string[] = [...formatOfEnding.keys()].flatMap((each) => [each, `${each}.gz`]);

/** The format by file name; undefined for other names. */
export function formatOfName(name: string): SequenceFormat | undefined {
  const plain = name.toLowerCase().replace(/\.gz$/, '');
  return formatOfEnding.get(/\.[^.]*$/.exec(plain)?.[0] ?? '');
}

/** True for formats of tables. */
export function isTable(format: SequenceFormat): format is TableFormat {
  return format === 'csv' || format === 'tsv' || format === 'jsonl';
}

/** @throws OnnxLoraError `DATA_INVALID` for a file that is not readable text */
export function formatOf(name: string, head: Uint8Array): SequenceFormat {
  if (head.includes(0) && !isUtf16(head)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${name}" is no text file. Save a spreadsheet as CSV; sequences are read from ${Object.keys(endingsOf).join(', ')}.`,
    );
  }
  const named = formatOfName(name);
  const text = decodePreview(head).trimStart();
  if (/^#\s*STOCKHOLM\b/.test(text)) return 'stockholm';
  if (named !== undefined) return named;
  if (/^\[\s*\{/.test(text)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${name}" is a JSON list, which cannot be read record by record. Write one object per line, in a file that ends in .jsonl.`,
    );
  }
  if (/^[>;]/.test(text)) return 'fasta';
  // No known SMILES file begins with @.
  if (text.startsWith('@')) return 'fastq';
  if (text.startsWith('{')) return 'jsonl';
  const [line = ''] = text.split(/\r\n|\n|\r/, 1);
  if (line.includes('\t') && !line.includes(',')) return 'tsv';
  return /[,;]|^(?:sequence|seq|smiles)$/i.test(line) ? 'csv' : 'lines';
}

/**
 * Streams the records of a FASTA file, which may be gzipped, one at a time.
 * @throws OnnxLoraError `FILE_NOT_FOUND`, or `DATA_INVALID` naming the file, the line and the remedy
 */
export async function* readFasta(file: string): AsyncGenerator<FastaRecord> {
  const { bytes } = await openBytes(file);
  yield* parseFasta(textOf(file, bytes), file);
}
