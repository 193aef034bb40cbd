/** @file What must hold of data with a name. */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { DatasetFactory } from '@onnx-lora/sdk/plugin';
import { call, findingsLater, refusalProblems } from '../failures.ts';
import { inScratch } from '../lent.ts';

/** What a dataset is checked with. */
export interface DatasetExamples {
  /** What stands behind the colon in `name:source`; empty for a name alone. */
  readonly source: string;
  /** A source that is not there: by default a path without a file; for a name alone there is none. */
  readonly bad?: string;
}

/**
 * Checks a dataset: in a fresh folder it returns a path that is there; in the same folder it returns the same path again, and
 * leaves the bytes of what is there alone; a source that is not there is an `OnnxLoraError`.
 *
 * @example
 * assert.deepEqual(await checkDataset(hourly, { source: 'fixtures/log.csv' }), []);
 *
 * @returns what does not hold, and what `prepare` throws; nothing where all is well
 */
export async function checkDataset(dataset: DatasetFactory, { source, bad }: DatasetExamples): Promise<string[]> {
  const prepare = (from: string, into: string): Promise<unknown> =>
    dataset.prepare({ source: from, folder: into, onProgress: () => {} });
  const problems = await inScratch((folder) =>
    findingsLater(async () => {
      const first = await call('prepare', () => prepare(source, folder));
      if (typeof first !== 'string' || !existsSync(first))
        return [`prepare returns ${JSON.stringify(first)}, which is no path that is there`];
      const before = bytesIn(folder);
      const again = await call('a second prepare in the same folder', () => prepare(source, folder));
      return [
        ...(first === again ? [] : [`prepare returns "${first}", and then ${JSON.stringify(again)}`]),
        ...(isDeepStrictEqual(bytesIn(folder), before) ? [] : ['a second prepare changes what is in the folder']),
      ];
    }),
  );
  if (bad === undefined && source === '') return problems;
  return inScratch(async (folder) => {
    const missing = bad ?? path.join(folder, `onnx-lora-missing${path.extname(source)}`);
    return [...problems, ...(await refusalProblems('a source that is not there', () => prepare(missing, folder)))];
  });
}

/** A digest of each file by its path. */
function bytesIn(folder: string): ReadonlyMap<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  const paths = files.map((each) => path.join(each.parentPath, each.name)).sort();
  return new Map(paths.map((each) => [each, createHash('sha256').update(readFileSync(each)).digest('hex')]));
}
