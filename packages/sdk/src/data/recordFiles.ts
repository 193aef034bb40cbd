/** @file Files of records: their names, containment in a folder, and existence. */

import { didYouMean, OnnxLoraError } from '../errors.ts';
import { existsSync, readdir } from '../platform/files.ts';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from '../platform/path.ts';

/** A record with a file. */
export interface LocatedRecord {
  /** Path of the file. */
  readonly file: string;
  /** Its origin: `labels.csv, line 12`, or the file itself without a manifest. */
  readonly place: string;
}

/** Name of a record in messages: its file, and the line of the manifest, if any. */
export function nameOfRecord({ file, place }: LocatedRecord): string {
  return place === file ? file : `${file} (${place})`;
}

/** Calls `load` for a record. An OnnxLoraError also names the record's line in its manifest. */
export async function withSourceLocation<T>({ file, place }: LocatedRecord, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (!(cause instanceof OnnxLoraError) || place === file || cause.message.includes(place)) throw cause;
    throw new OnnxLoraError(cause.code, `${place}: ${cause.message}`, { cause });
  }
}

/**
 * Resolves a file name of a manifest against `folder`.
 * @param option name of the option for that folder, for the message: `imageFolder`
 * @throws OnnxLoraError `DATA_INVALID` for a path outside `folder`, since manifests are untrusted
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

/** Files of records. */
export interface FilesOfRecords<Item> {
  /** The files of a record. */
  readonly files: (record: Item) => readonly string[];
  /** Origin of a record, for messages. */
  readonly place: (record: Item) => string;
  /** The records in the plural: `images`. */
  readonly what: string;
  /** The remedy, for the message. */
  readonly remedy: string;
}

/** Drops records without files, or fails with the first. @throws OnnxLoraError `DATA_INVALID` unless `policy` is `skip` */
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
      // A file system may find a file under another spelling.
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
