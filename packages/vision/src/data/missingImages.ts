/** @file Finds records whose image or mask does not exist, before hours of training do. */

import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { didYouMean, OnnxLoraError } from '@onnx-lora/sdk';
import type { ImageRecord } from './imageRecord.ts';

/**
 * The records whose files exist. Folders are listed once each, which is faster than to ask for every file.
 *
 * @throws OnnxLoraError `DATA_INVALID` with the first that does not exist and the number of them, unless they are to be skipped
 */
export async function withoutMissing(
  records: readonly ImageRecord[],
  policy: 'fail' | 'skip' = 'fail',
): Promise<{ records: readonly ImageRecord[]; warnings: readonly string[] }> {
  const folders = new Map<string, Promise<ReadonlySet<string>>>();
  const namesIn = (folder: string): Promise<ReadonlySet<string>> => {
    const known = folders.get(folder);
    if (known) return known;
    const names = readdir(folder).then(
      (all) => new Set(all),
      () => new Set<string>(),
    );
    folders.set(folder, names);
    return names;
  };
  const present: ImageRecord[] = [];
  let first: { readonly place: string; readonly file: string } | undefined;
  for (const record of records) {
    const files = record.mask === undefined ? [record.file] : [record.file, record.mask];
    let missing: string | undefined;
    for (const file of files) {
      // A file system may know a file by a name that it spells otherwise.
      if (!(await namesIn(dirname(file))).has(basename(file)) && !existsSync(file)) missing ??= file;
    }
    if (missing === undefined) present.push(record);
    else first ??= { place: record.place, file: missing };
  }
  if (first === undefined) return { records, warnings: [] };
  const count = records.length - present.length;
  const problem = `${first.place}: there is no file "${first.file}".${didYouMean(basename(first.file), await namesIn(dirname(first.file)))} Files are missing for ${count} of ${records.length} images`;
  if (policy === 'skip' && present.length > 0)
    return { records: present, warnings: [`${problem}; they are left out.`] };
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${problem}. Correct the paths, say which folder they start from (imageFolder), or leave such images out (missingImages: 'skip').`,
  );
}
