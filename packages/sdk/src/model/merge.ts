/** @file `merge`: one plain .onnx file from a model and an adapter. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Adapter } from '../adapter/adapter.ts';
import { mergeAdapter } from '../adapter/merge.ts';
import { OnnxLoraError } from '../errors.ts';
import { writeOnnx } from '../graph/onnxFile.ts';
import type { Model } from './model.ts';

/** What {@link merge} wrote. */
export interface MergeResult {
  /** The .onnx file, and its `.data` file when the weights exceed what one file can hold. */
  readonly files: readonly string[];
  /** Paths of the modules that changed. */
  readonly modules: readonly string[];
}

/**
 * Folds an adapter into the base's weights and writes a plain .onnx that any runtime opens. Complete or not at all.
 *
 * @throws OnnxLoraError `ADAPTER_MISMATCH`, `MODEL_UNSUPPORTED`, or `FILE_INVALID` when the file cannot be written
 */
export async function merge(
  model: Model,
  adapter: Adapter,
  file: string,
  options: { readonly allowBaseMismatch?: boolean } = {},
): Promise<MergeResult> {
  if (existsSync(file) && path.resolve(file) === path.resolve(model.file)) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}" is the base model itself, whose weights are still needed. Write to another file.`,
    );
  }
  if (!existsSync(path.dirname(path.resolve(file)))) {
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `There is no folder "${path.dirname(file)}" to write "${path.basename(file)}" to. Make it first.`,
    );
  }
  const placed = await model.place(adapter, options);
  const files = writeOnnx(file, mergeAdapter(model.onnx.model, placed));
  const modules = [
    ...placed.lowRank.map(({ lowRank }) => lowRank.site.path),
    ...placed.trained.map(({ parameter }) => parameter.modulePath),
  ];
  return { files, modules: [...new Set(modules)] };
}
