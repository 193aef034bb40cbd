/** @file Checks named datasets. */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { DatasetFactory } from '@onnx-lora/sdk/plugin';
import { call, findingsLater, refusalProblems } from '../failures.ts';
import { inScratch } from '../scratch.ts';

/** Input of {@link checkDataset}. */
export interface DatasetExamples {
  /** The part after the colon in `name:source`; empty for a bare name. */
  readonly source: string;
  /** A missing source: by default a path without a file; none for a bare name. */
  readonly bad?: string;
}

/**
 * Checks a dataset: it returns an existing path; repeated in the same folder it returns the same path and leaves
 * existing files unchanged; a missing source is an `OnnxLoraError`.
 * @example
 * assert.deepEqual(await checkDataset(hourly, { source: 'fixtures/log.csv' }), []);
 * @returns the problems found, including errors; empty if there are none
 */
export async function checkDataset(dataset: DatasetFactory, { source, bad }: DatasetExamples): Promise<string[]> {
  const prepare = (from: string, into: string): Promise<unknown> =>
    dataset.prepare({ source: from, folder: into, onProgress: () => {} });
  const problems = await inScratch((folder) =>
    findingsLater(async () => {
      const first = await call('prepare', () => prepare(source, folder));
      if (typeof first !== 'string' || !existsSync(first))
        return [`prepare returns ${JSON.stringify(first)}, which does not exist`];
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

function bytesIn(folder: string): ReadonlyMap<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  const paths = files.map((each) => path.join(each.parentPath, each.name)).sort();
  return new Map(paths.map((each) => [each, createHash('sha256').update(readFileSync(each)).digest('hex')]));
}
