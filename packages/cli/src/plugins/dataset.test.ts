/** @file Tests of data that is named rather than lying at a path. */

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { DatasetFactory } from '@onnx-lora/sdk/plugin';
import { afterEach, expect, it, vi } from 'vitest';
import { temporaryFolder } from '../../fixtures/call.ts';
import { Progress } from '../terminal/progress.ts';
import { Terminal } from '../terminal/terminal.ts';
import { pathOfData } from './dataset.ts';

afterEach(() => vi.unstubAllEnvs());

it('refuses a dataset that makes no path, and names one that fails', async () => {
  vi.stubEnv('XDG_CACHE_HOME', path.join(temporaryFolder(), 'cache'));
  const cells = { name: 'cells', description: '', prepare: () => Promise.resolve(undefined) };
  const datasets = [cells as unknown as DatasetFactory];
  const progress = new Progress(new Terminal({ stdout: { write: () => {} }, stderr: { write: () => {} } }), {});
  await expect(pathOfData('cells:1', { datasets }, progress)).rejects.toThrow(
    'prepare of the dataset "cells" must return the path of the data, but it returns undefined.',
  );
  const away = { ...cells, prepare: () => Promise.reject(new Error('the server is away.')) };
  await expect(pathOfData('cells:1', { datasets: [away] }, progress)).rejects.toThrow(
    'The dataset "cells" fails in prepare: the server is away. Its author can mend it',
  );
});

it('hints at a dataset whose name is near, where nothing lies at the path', async () => {
  const folder = temporaryFolder();
  const datasets = [{ name: 'motion' }, { name: 'd' }] as unknown as DatasetFactory[];
  const progress = new Progress(new Terminal({ stdout: { write: () => {} }, stderr: { write: () => {} } }), {});
  await expect(pathOfData('motin:x.csv', { datasets }, progress)).rejects.toThrow(
    'There is no dataset "motin", and no file or folder "motin:x.csv". Did you mean "motion"?',
  );
  writeFileSync(path.join(folder, 'motin:x.csv'), '');
  for (const given of [path.join(folder, 'motin:x.csv'), 'C:\\data', 'c:/data', 'photographs:1', 'motin'])
    expect(await pathOfData(given, { datasets }, progress)).toBe(given);
});
