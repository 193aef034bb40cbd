/** @file Uploaded files: a whole body or a form's, written to temporary files for predictors. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decodeText } from '@onnx-lora/sdk/data';
import { HttpError } from '../errors.ts';
import { partsOf } from './multipart.ts';

export interface SentFile {
  /** The client's name for it, for messages only; never a path. */
  readonly name: string;
  /** Content type in lower case, without parameters. */
  readonly type: string;
  readonly bytes: Buffer;
}

export interface SentForm {
  readonly files: readonly SentFile[];
  readonly fields: Readonly<Record<string, string>>;
}

/** The content type without parameters. */
export function bareType(contentType: string | undefined): string {
  return contentType?.split(';')[0]!.trim().toLowerCase() ?? '';
}

/** Parses a body. @throws HttpError 400 for an invalid form, or without a file */
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

/** Signatures of file formats. */
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

/** The file ending, by name, content type or signature. @throws HttpError 415 where none of `endings` fits */
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

/** Writes files into a temporary folder while `use` runs. */
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
