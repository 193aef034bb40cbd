/** @file Finds records whose files do not exist, before hours of training do. */

import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { didYouMean, OnnxLoraError } from '../../errors.ts';

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
