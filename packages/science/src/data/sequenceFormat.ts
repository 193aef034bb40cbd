/** @file Tells how a file of sequences is written. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TableFormat } from '@onnx-lora/sdk/data';

/** Ways to write sequences. `lines` has one on each line. */
export type SequenceFormat = TableFormat | 'fasta' | 'fastq' | 'a3m' | 'stockholm' | 'lines';

const formats: Readonly<Record<SequenceFormat, readonly string[]>> = {
  fasta: ['.fasta', '.fa', '.faa', '.fna', '.ffn', '.fas', '.afa'],
  fastq: ['.fastq', '.fq'],
  a3m: ['.a3m'],
  stockholm: ['.sto', '.stockholm', '.stk'],
  csv: ['.csv'],
  tsv: ['.tsv', '.tab'],
  jsonl: ['.jsonl', '.ndjson'],
  lines: ['.smi', '.smiles', '.seq'],
};

const formatOfEnding: ReadonlyMap<string, SequenceFormat> = new Map(
  Object.entries(formats).flatMap(([format, endings]) =>
    endings.map((ending) => [ending, format as SequenceFormat] as const),
  ),
);

/** Endings of files of sequences, each also with `.gz` after it. */
export const sequenceEndings: readonly string[] = [...formatOfEnding.keys()].flatMap((each) => [each, `${each}.gz`]);

/** The format that a file's name tells; undefined for other names. */
export function formatOfName(name: string): SequenceFormat | undefined {
  const plain = name.toLowerCase().replace(/\.gz$/, '');
  return formatOfEnding.get(/\.[^.]*$/.exec(plain)?.[0] ?? '');
}

/** True for formats whose records are rows. */
export function isTable(format: SequenceFormat): format is TableFormat {
  return format === 'csv' || format === 'tsv' || format === 'jsonl';
}

/**
 * The format of a file: what its name tells, or how it begins.
 *
 * @param head its first bytes
 * @throws OnnxLoraError `DATA_INVALID` for a file that is no text that can be read
 */
export function formatOf(name: string, head: Uint8Array): SequenceFormat {
  // UTF-16 has zeros, too, but begins with a mark.
  const isUtf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  if (head.includes(0) && !isUtf16) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${name}" is no text file. Save a spreadsheet as CSV; sequences are read from ${Object.keys(formats).join(', ')}.`,
    );
  }
  const named = formatOfName(name);
  if (isUtf16 && !(named !== undefined && isTable(named) && named !== 'jsonl')) {
    throw new OnnxLoraError('DATA_INVALID', `"${name}" is text in UTF-16. Save it as UTF-8, or as plain text.`);
  }
  const text = new TextDecoder()
    .decode(head)
    .replace(/^\uFEFF/, '')
    .trimStart();
  if (/^#\s*STOCKHOLM\b/.test(text)) return 'stockholm';
  if (named !== undefined) return named;
  if (/^\[\s*\{/.test(text)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${name}" is a JSON list, which cannot be read record by record. Write one object per line, in a file that ends in .jsonl.`,
    );
  }
  if (/^[>;]/.test(text)) return 'fasta';
  // An @ may also begin a SMILES in no file that is known.
  if (text.startsWith('@')) return 'fastq';
  if (text.startsWith('{')) return 'jsonl';
  const [line = ''] = text.split(/\r\n|\n|\r/, 1);
  if (line.includes('\t') && !line.includes(',')) return 'tsv';
  return /[,;]|^(?:sequence|seq|smiles)$/i.test(line) ? 'csv' : 'lines';
}
