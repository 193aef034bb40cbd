/** @file The files of a request: a body that is one itself, or a form with several, as files that a task's predictor reads. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decodeText } from '@onnx-lora/sdk/data';
import { HttpError } from '../errors.ts';
import { partsOf } from './multipart.ts';

/** A file as it was sent. */
export interface SentFile {
  /** What the client calls it; for answers and errors, never a path. */
  readonly name: string;
  /** Its content type, in lower case without parameters. */
  readonly type: string;
  readonly bytes: Buffer;
}

/** What was sent. */
export interface SentForm {
  readonly files: readonly SentFile[];
  /** Fields that are texts. */
  readonly fields: Readonly<Record<string, string>>;
}

/** The content type alone, without what stands behind it. */
export function bareType(contentType: string | undefined): string {
  return contentType?.split(';')[0]!.trim().toLowerCase() ?? '';
}

/**
 * The files and fields of a body.
 *
 * @throws HttpError 400 for a form that cannot be read, and where there is no file
 */
export function sentForm(body: Buffer, contentType: string | undefined): SentForm {
  const type = bareType(contentType);
  if (body.length === 0) throw new HttpError(400, 'INPUT_INVALID', 'The body is empty. Send a file.');
  if (type !== 'multipart/form-data') return { files: [{ name: 'body', type, bytes: body }], fields: {} };
  const parts = partsOf(body, contentType!);
  const files = parts.flatMap(({ filename, type: own, bytes }) => filename === undefined ? [] : [{ name: filename, type: own, bytes }]); // prettier-ignore
  const fields = parts.flatMap(({ name, filename, bytes }) => filename === undefined ? [[name, decodeText(bytes, `The field "${name.slice(0, 60)}"`, 'INPUT_INVALID')] as const] : []); // prettier-ignore
  if (files.length === 0)
    throw new HttpError(400, 'INPUT_INVALID', 'The form has no file. Send one: -F file=@cat.jpg.');
  return { files, fields: Object.fromEntries(fields) };
}

const byType: Readonly<Record<string, string>> = {
  'image/png': '.png',
  'image/jpeg': '.jpg',
  'image/webp': '.webp',
  'image/gif': '.gif',
  'image/tiff': '.tiff',
  'audio/wav': '.wav',
  'audio/x-wav': '.wav',
  'audio/wave': '.wav',
  'audio/mpeg': '.mp3',
  'audio/flac': '.flac',
  'audio/ogg': '.ogg',
  'text/plain': '.txt',
  'text/csv': '.csv',
  'text/tab-separated-values': '.tsv',
  'text/x-fasta': '.fasta',
  'application/x-ndjson': '.jsonl',
  'application/jsonl': '.jsonl',
};

/** How files begin that tell of themselves. */
const beginnings: readonly (readonly [bytes: string, ending: string])[] = [
  ['\x89PNG', '.png'],
  ['\xff\xd8\xff', '.jpg'],
  ['GIF8', '.gif'],
  ['fLaC', '.flac'],
  ['OggS', '.ogg'],
  ['ID3', '.mp3'],
  ['\xff\xfb', '.mp3'],
  ['>', '.fasta'],
];

/**
 * The ending under which a predictor reads a file: that of its name, of its content type, or by how it begins.
 *
 * @param endings those that the predictor reads
 * @throws HttpError 415 where none of them fits
 */
function endingOf({ name, type, bytes }: SentFile, endings: readonly string[]): string {
  const head = bytes.subarray(0, 12).toString('latin1');
  const riff = head.startsWith('RIFF') ? (head.endsWith('WAVE') ? '.wav' : '.webp') : undefined;
  const found = [
    endings.find((each) => name.toLowerCase().endsWith(each)),
    byType[type],
    riff ?? beginnings.find(([begin]) => head.startsWith(begin))?.[1],
  ].find((each) => each !== undefined && endings.includes(each));
  if (found !== undefined) return found;
  throw new HttpError(
    415,
    'DATA_INVALID',
    `Nothing says that "${name}" is a file that this model reads: ${endings.join(', ')}. Send it with its name (-F file=@NAME) or its content type.`,
  );
}

/** Writes files into a folder of their own for as long as `use` takes. */
export async function asFiles<T>(
  files: readonly SentFile[],
  endings: readonly string[],
  use: (paths: readonly string[]) => Promise<T>,
): Promise<T> {
  const named = files.map((file, i) => ({ file, base: `${i}${endingOf(file, endings)}` }));
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-serve-'));
  try {
    const paths = named.map(({ base }) => path.join(folder, base));
    for (const [i, { file }] of named.entries()) await writeFile(paths[i]!, file.bytes, { mode: 0o600 });
    return await use(paths);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
