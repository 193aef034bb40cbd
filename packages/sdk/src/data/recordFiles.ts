/** @file The files of records: where they are, that they lie inside of their folder, and that they exist. */

import { didYouMean, OnnxLoraError } from '../errors.ts';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';

/** A record of a file. */
export interface PlacedRecord {
  /** Path of the file. */
  readonly file: string;
  /** Where it comes from: `labels.csv, line 12`; the file itself where a folder says all. */
  readonly place: string;
}

/** What a record is called in messages: its file, and the line of the manifest that names it, where there is one. */
export function nameOfRecord({ file, place }: PlacedRecord): string {
  return place === file ? file : `${file} (${place})`;
}

/**
 * What `load` gives for a record.
 *
 * @throws what `load` throws; an OnnxLoraError also says in which line of which manifest the record is
 */
export async function withSourceLocation<T>({ file, place }: PlacedRecord, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (!(cause instanceof OnnxLoraError) || place === file || cause.message.includes(place)) throw cause;
    throw new OnnxLoraError(cause.code, `${place}: ${cause.message}`, { cause });
  }
}

/**
 * The path of a file that a manifest names, from `folder`.
 *
 * @param option what says where names start from, for the message: `imageFolder`
 * @throws OnnxLoraError `DATA_INVALID` when it is not below `folder`: a manifest may come from a stranger
 */
export function fileInside(folder: string, name: string, place: string, option: string): string {
  const path = relative(resolve(folder), resolve(folder, name));
  const isInside = path !== '' && path.split(sep)[0] !== '..' && !isAbsolute(path) && !path.includes('\0');
  if (isInside) return join(folder, path);
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: ${JSON.stringify(name)} lies outside of "${folder}". A manifest may name files of its own folder only; if this one is right, give the folder that its names start from: ${option}: '…'.`,
  );
}

/** What is known of the files of records. */
export interface FilesOfRecords<Item> {
  /** The files of a record. */
  readonly files: (record: Item) => readonly string[];
  /** Where it comes from, for messages. */
  readonly place: (record: Item) => string;
  /** What records are, in the plural: `images`. */
  readonly what: string;
  /** What the user can say about it, for the message. */
  readonly remedy: string;
}

/**
 * The records whose files exist. Folders are listed once each, which is faster than to ask for every file.
 *
 * @throws OnnxLoraError `DATA_INVALID` with the first that does not exist and the number of them, unless they are to be skipped
 */
export async function withoutMissing<Item>(
  records: readonly Item[],
  { files, place, what, remedy }: FilesOfRecords<Item>,
  policy: 'fail' | 'skip' = 'fail',
): Promise<{ records: readonly Item[]; warnings: readonly string[] }> {
  const folders = new Map<string, ReadonlySet<string>>();
  const namesIn = async (folder: string): Promise<ReadonlySet<string>> => {
    const known = folders.get(folder);
    if (known) return known;
    const names = new Set(await readdir(folder).catch(() => []));
    folders.set(folder, names);
    return names;
  };
  const present: Item[] = [];
  let first: { readonly place: string; readonly file: string } | undefined;
  for (const record of records) {
    let missing: string | undefined;
    for (const file of files(record)) {
      const names = folders.get(dirname(file)) ?? (await namesIn(dirname(file)));
      // A file system may know a file by a name that it spells otherwise.
      if (!names.has(basename(file)) && !existsSync(file)) missing ??= file;
    }
    if (missing === undefined) present.push(record);
    else first ??= { place: place(record), file: missing };
  }
  if (first === undefined) return { records, warnings: [] };
  const count = records.length - present.length;
  const hint = didYouMean(basename(first.file), await namesIn(dirname(first.file)));
  const problem = `${first.place}: there is no file "${first.file}".${hint} Files are missing for ${count} of ${records.length} ${what}`;
  if (policy === 'skip' && present.length > 0)
    return { records: present, warnings: [`${problem}; they are left out.`] };
  throw new OnnxLoraError('DATA_INVALID', `${problem}. ${remedy}`);
}
