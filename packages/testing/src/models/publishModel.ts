/** @file Writes a model as repositories have theirs. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { writeOnnx, type ModelProto } from '@onnx-lora/sdk/plugin';

/** What lies in the folder of a published model. */
export interface PublishedModel {
  /** The graph with its weights. */
  readonly model: ModelProto;
  /** `config.json`: `{ model_type: 'cell-net' }`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** `preprocessor_config.json`. */
  readonly preprocessor?: Readonly<Record<string, unknown>>;
}

/**
 * Writes `onnx/model.onnx`, and the configs where there are such, as `openModel` reads them.
 *
 * @param folder is made where it does not exist
 * @returns the folder
 */
export async function publishModel(folder: string, { model, config, preprocessor }: PublishedModel): Promise<string> {
  await mkdir(path.join(folder, 'onnx'), { recursive: true });
  writeOnnx(path.join(folder, 'onnx', 'model.onnx'), model);
  for (const [name, json] of [
    ['config.json', config],
    ['preprocessor_config.json', preprocessor],
  ] as const)
    if (json) await writeFile(path.join(folder, name), `${JSON.stringify(json, undefined, 2)}\n`);
  return folder;
}
