/** @file Small things that stand in for what a page speaks of. */

import { cp, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { type LoraOptions, openModel, train } from '@onnx-lora/sdk';
import type { Task } from '@onnx-lora/sdk/tasks';
import type { ModelFamily } from '@onnx-lora/sdk/plugin';
import { root } from './fences.ts';

/** Makes a file or folder at the path. */
export type Fixture = (file: string) => unknown;

/** By the path that fences name. */
export type Fixtures = Readonly<Record<string, Fixture>>;

/** A file or folder of this repository. */
export function copyOf(source: string): Fixture {
  return (file) => cp(path.join(root, source), file, { recursive: true });
}

/** Parts of an adapter. */
export interface AdapterParts {
  readonly model: Fixture;
  readonly families: readonly ModelFamily[];
  readonly data: Fixture;
  /** The ending of the data's file; it is a folder by default. */
  readonly ending?: string;
  readonly task: (data: string) => Task;
  readonly lora?: LoraOptions;
}

/** An adapter of one training step. */
export function adapterOf({ model, families, data, ending = '', task, lora = {} }: AdapterParts): Fixture {
  return async (file) => {
    const folder = '.for-an-adapter';
    const [modelFolder, dataFile] = [`${folder}/model`, `${folder}/data${ending}`];
    await mkdir(folder);
    await model(modelFolder);
    await data(dataFile);
    const opened = await openModel(modelFolder, { families });
    const run = await train(opened, { task: task(dataFile), lora, steps: 1, batchSize: 2 });
    await (await run.done).adapter.save(file, { overwrite: true });
    await rm(folder, { recursive: true });
  };
}
