/** @file Shared by the tests: a small model with the plugin loaded, and data, in a folder that is removed after the file. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Model, openModel } from '@onnx-lora/sdk';
import { afterAll, vi } from 'vitest';
import { writeData, writeModel } from '../src/example/files.ts';
import plugin from '../src/index.ts';

// Checks run a model hundreds of times, and machines that test are slow: vitest's own limit is 5 seconds.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** Test data. */
export interface Example {
  readonly model: Model;
  /** The table of the data. */
  readonly data: string;
}

/** Makes the model and the data. */
export async function makeExample(): Promise<Example> {
  const folder = await mkdtemp(path.join(tmpdir(), '{{family}}-'));
  afterAll(() => rm(folder, { recursive: true }));
  return {
    model: await openModel(await writeModel(path.join(folder, 'model')), { plugins: [plugin] }),
    data: await writeData(folder, 40),
  };
}
