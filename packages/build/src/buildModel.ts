/** @file Builds a checkpoint into a folder with the layout of published ONNX models. */

import { existsSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { companionsIn, type FileSlice, writeOnnxFiles } from '@onnx-lora/sdk/plugin';
import { buildGraphs, type BuildOptions, type BuiltGraphs } from './buildGraphs.ts';

/** Options of {@link buildModel}. */
export interface BuildModelOptions extends BuildOptions {
  /** Replaces existing files. */
  readonly overwrite?: boolean;
}

/** Result of {@link buildModel}. */
export interface BuiltModel extends Omit<BuiltGraphs, 'graphs'> {
  /** The files, graphs first. */
  readonly files: readonly string[];
}

/**
 * Writes a checkpoint in the layout of published ONNX models: `onnx/model.onnx`, or the files of a model of several,
 * and next to `onnx` the config, tokenizer and preprocessor. A part that is built alone has the name that it has beside
 * the others: `onnx/text_model.onnx`. Writes all files or none.
 * @throws OnnxLoraError as {@link buildGraphs}; `FILE_INVALID` for the checkpoint's own folder and for existing files
 */
export async function buildModel(folder: string, out: string, options: BuildModelOptions = {}): Promise<BuiltModel> {
  if (existsSync(out) && existsSync(folder) && realpathSync(out) === realpathSync(folder)) {
    const message = `"${out}" is the checkpoint itself. Name another folder to write.`;
    throw new OnnxLoraError('FILE_INVALID', message);
  }
  const { graphs, ...built } = await buildGraphs(folder, { weights: 'float32', ...options });
  const models = [...graphs].map(([name, model]) => ({ file: path.join(out, 'onnx', `${name}.onnx`), model }));
  const beside = companionsIn(folder).map(
    (name) => [path.join(out, name), wholeFile(path.join(folder, name))] as const,
  );
  requireFree([...models.map(({ file }) => file), ...beside.map(([file]) => file)], options.overwrite ?? false);
  return { ...built, files: writeOnnxFiles(models, beside) };
}

function wholeFile(file: string): FileSlice {
  return { path: file, offset: 0, length: statSync(file).size };
}

function requireFree(files: readonly string[], overwrite: boolean): void {
  const found = overwrite ? undefined : files.find((file) => existsSync(file));
  if (found === undefined) return;
  throw new OnnxLoraError(
    'FILE_INVALID',
    `"${found}" is there already. Write to another folder, or replace it (overwrite: true; --overwrite).`,
  );
}
