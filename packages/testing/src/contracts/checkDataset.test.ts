/** @file The check of datasets: a right one passes, and each mistake is told. */

import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { DatasetFactory } from '@onnx-lora/sdk/plugin';
import { checkDataset } from './checkDataset.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-datasets-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const source = path.join(scratch, 'log.csv');
writeFileSync(source, 'a,b\n1,2\n');

function dataset(prepare: DatasetFactory['prepare']): DatasetFactory {
  return { name: 'copied', description: 'A copy.', prepare };
}

/** Copies the source into the folder, once. */
const copy: DatasetFactory['prepare'] = ({ source: from, folder }) => {
  const file = path.join(folder, 'copy.csv');
  if (!existsSync(from)) return Promise.reject(new OnnxLoraError('FILE_NOT_FOUND', `There is no "${from}".`));
  if (!existsSync(file)) copyFileSync(from, file);
  return Promise.resolve(file);
};

it('one that is right passes, with a progress that nobody sees', async () => {
  const telling = dataset((request) => {
    request.onProgress!('copying');
    return copy(request);
  });
  expect(await checkDataset(telling, { source })).toEqual([]);
});

let calls = 0;
it.each<[string, DatasetFactory['prepare'], string | RegExp]>([
  ['fails', () => Promise.reject(new Error('no disk')), 'prepare fails: no disk'],
  ['fails the second time', (request) => (existsSync(path.join(request.folder, 'copy.csv')) ? Promise.reject(new Error('it is there')) : copy(request)), 'a second prepare in the same folder fails: it is there'], // prettier-ignore
  ['returns nothing', () => Promise.resolve(undefined as never), 'prepare returns undefined, which does not exist'], // prettier-ignore
  ['returns a path without a file', () => Promise.resolve('none.csv'), 'prepare returns "none.csv", which does not exist'], // prettier-ignore
  [
    'returns another path each time',
    async (request) => {
      const file = path.join(request.folder, `${calls++}.csv`);
      copyFileSync(await copy(request), file);
      return file;
    },
    /^prepare returns ".*0\.csv", and then ".*1\.csv"$/,
  ],
  [
    'writes other bytes the second time',
    async (request) => {
      const file = await copy(request);
      writeFileSync(file, `${readFileSync(file, 'utf8')}${calls++}`);
      return file;
    },
    'a second prepare changes what is in the folder',
  ],
])('one that %s is told so', async (_, prepare, problem) => {
  // prettier-ignore
  const problems = await checkDataset(dataset(prepare), { source });
  expect(problems[0]).toMatch(problem);
});

it('a source that is not there must end in an error for users', async () => {
  const plain = dataset(({ source: from }) => {
    readFileSync(from);
    return Promise.resolve(from);
  });
  const found = await checkDataset(plain, { source });
  expect(found).toEqual([expect.stringMatching(/^a source that is not there ends in Error: ENOENT.*, which should be an OnnxLoraError$/)]); // prettier-ignore
  const deaf = dataset((request) => copy({ ...request, source }));
  expect(await checkDataset(deaf, { source })).toEqual(['a source that is not there ends in no error, which should be an OnnxLoraError']); // prettier-ignore
  // A name alone has no source that could be missing, unless one is given.
  expect(await checkDataset(deaf, { source: '' })).toEqual([]);
  expect(await checkDataset(deaf, { source: '', bad: 'v9' })).toHaveLength(1);
});
