/** @file Opens a file of sequences, which may be compressed, tells how it is written, and says how far it is read. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { peeked, type TableFormat, textOf } from '@onnx-lora/sdk/data';
import { notFound } from '@onnx-lora/sdk/plugin';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { type FastaRecord, parseFasta } from './formats/fasta.ts';
import { recordFormats } from './sequenceRecords.ts';

/** Ways to write sequences. */
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
      `"${name}" is no text file. Save a spreadsheet as CSV; sequences are read from ${Object.keys(endingsOf).join(', ')}.`,
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

/** An open file or stream. */
export interface OpenBytes {
  /** What it is called in messages. */
  readonly name: string;
  /** The text's bytes, decompressed. To be read once, or returned from. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** The first of the bytes. */
  readonly head: Uint8Array;
  /** How many bytes the source has, compressed as it is; undefined of a stream. */
  readonly total?: number;
  /** How many of these were read so far. */
  readonly read: () => number;
}

const GZIP = [0x1f, 0x8b] as const;
/** As much as shows what a file is. */
const HEAD_BYTES = 1 << 12;

/**
 * Opens a path, or bytes that come from elsewhere, such as standard input. What is compressed by gzip (or bgzip) shows in its
 * first bytes; it is decompressed as it is read, so that no more than a piece of it is in memory.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `DATA_INVALID`; also while the bytes are read
 */
export async function openBytes(source: string | AsyncIterable<Uint8Array>): Promise<OpenBytes> {
  const isPath = typeof source === 'string';
  const name = isPath ? source : 'the input';
  const total = isPath ? await sizeOf(source) : undefined;
  let count = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of isPath ? createReadStream(source) : source) {
      count += chunk.length;
      yield chunk;
    }
  }
  const raw = await readable(name, peeked(counted(), GZIP.length));
  const isCompressed = GZIP.every((byte, i) => raw.head[i] === byte);
  const text = isCompressed ? await readable(name, peeked(gunzipped(raw.bytes), HEAD_BYTES)) : undefined;
  const { head, bytes } = text ?? (await readable(name, peeked(raw.bytes, HEAD_BYTES)));
  return { name, head, bytes: named(name, bytes), ...(total === undefined ? {} : { total }), read: () => count };
}

async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) {
      throw new OnnxLoraError('DATA_INVALID', `"${path}" is a folder, but a file is expected. Name a file in it.`);
    }
    return found.size;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function gunzipped(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  // Errors are thrown where the result is read.
  return pipeline(Readable.from(bytes, { objectMode: false }), createGunzip(), () => undefined);
}

async function* named(name: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = bytes[Symbol.asyncIterator]();
  try {
    for (;;) {
      // Only what the source throws is caught, and nothing of the consumer's.
      const { value, done } = await readable(name, iterator.next());
      if (done) return;
      yield value;
    }
  } finally {
    await iterator.return?.();
  }
}

async function readable<T>(name: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (cause) {
    throw unreadable(name, cause);
  }
}

function unreadable(name: string, cause: unknown): unknown {
  if (cause instanceof OnnxLoraError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT') return notFound('file', name, { remedy: 'Check the path of the data.', cause });
  const isCompressed = code?.startsWith('Z_');
  return new OnnxLoraError(
    'DATA_INVALID',
    isCompressed
      ? `"${name}" is compressed, but cannot be decompressed: ${message}. It may have been cut off; copy it again.`
      : `"${name}" cannot be read: ${message}. Check that it is a file you may read.`,
    { cause },
  );
}

/**
 * The records of a FASTA file in their order, which may be compressed by gzip. Only one record is held in memory at a time.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`, or `DATA_INVALID` naming the file, the line and the remedy
 */
export async function* readFasta(file: string): AsyncGenerator<FastaRecord> {
  const { bytes } = await openBytes(file);
  yield* parseFasta(textOf(bytes), file);
}
