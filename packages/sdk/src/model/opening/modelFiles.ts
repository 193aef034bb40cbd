/** @file Sources of .onnx files: the disk, or a plugin that builds them from a folder's other files. */

import { existsSync, readdirSync, realpathSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import type { OnnxFile } from '../../graph/file/onnxFile.ts';
import { openOnnx } from '../../graph/file/onnxFile.ts';
import type { ModelBuilder } from '../../plugin/registry/contributions.ts';
import type { PluginRegistry } from '../../plugin/registry/loadPlugins.ts';

/** Finds and opens .onnx files. */
export interface ModelFiles {
  readonly has: (file: string) => boolean;
  /** @throws OnnxLoraError as `openOnnx` */
  readonly open: (file: string) => OnnxFile;
  /** The .onnx files of a model's folder. */
  readonly list: (folder: string) => string[];
}

export const filesOnDisk: ModelFiles = { has: existsSync, open: openOnnx, list: onnxFilesIn };

/** Subfolders of published repositories with .onnx files, in order of preference. */
export const onnxFolders: readonly string[] = ['onnx', '.'];

/** The .onnx files of a folder: first at its top, then in `onnx`. */
function onnxFilesIn(folder: string): string[] {
  return onnxFolders.toReversed().flatMap((place) => {
    const inside = path.join(folder, place);
    if (!existsSync(inside)) return [];
    return readdirSync(inside)
      .filter((name) => name.endsWith('.onnx'))
      .map((name) => path.join(inside, name));
  });
}

const variants = /_(?:fp16|bf16|quantized|u?int8|q[248]|q4f16|bnb4)$/;

/** A file's name without folder, ending and variant: `text_model` for `onnx/text_model_fp16.onnx`. */
export function plainName(file: string): string {
  return path.basename(file, '.onnx').replace(variants, '');
}

/** Name of a single file in a model's folder: `model`, or that of a part, such as `text_model`. */
export function publishedName(file: string): string {
  const name = plainName(file);
  return /^\w+_model$/.test(name) ? name : 'model';
}

/** The builder for a folder without .onnx files; undefined if it has some, or no builder fits. */
export function builderFor(folder: string, { builders }: PluginRegistry): ModelBuilder | undefined {
  return onnxFilesIn(folder).length > 0 ? undefined : builders.find((builder) => builder.recognises(folder));
}

/** Builds a folder's graphs in memory; weights stay in their files. Throws as the builder. */
export async function builtFiles(
  folder: string,
  builder: ModelBuilder,
  families: PluginRegistry['families'],
): Promise<ModelFiles> {
  const graphs = await builder.build(folder, { families });
  const models = new Map([...graphs].map(([name, model]) => [path.join(folder, `${name}.onnx`), model]));
  return {
    has: (file) => models.has(path.normalize(file)),
    list: () => [...models.keys()],
    open: (file) => {
      const model = models.get(path.normalize(file))!;
      return { path: file, model: { ...model, graph: model.graph! } };
    },
  };
}

/** The real path of a file; of a built one its absolute path. */
export function realFile(file: string): string {
  return existsSync(file) ? realpathSync(file) : path.resolve(file);
}
