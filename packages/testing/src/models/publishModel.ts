/** @file Writes models like published repositories. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { writeOnnx, type ModelProto } from '@onnx-lora/sdk/plugin';

/** Contents of a model's folder. */
export interface PublishedModel {
  /** The graph with its weights. */
  readonly model: ModelProto;
  /** `config.json`: `{ model_type: 'cell-net' }`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** `preprocessor_config.json`. */
  readonly preprocessor?: Readonly<Record<string, unknown>>;
}

/** Writes `onnx/model.onnx` and configs, as `openModel` reads them, into a folder, which it makes and returns. */
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
