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
}

export const filesOnDisk: ModelFiles = { has: existsSync, open: openOnnx };

/** Subfolders of published repositories with .onnx files, in order of preference. */
export const onnxFolders: readonly string[] = ['onnx', '.'];

/** The .onnx files of a folder: first at its top, then in `onnx`. */
export function onnxFilesIn(folder: string): string[] {
  return onnxFolders.toReversed().flatMap((place) => {
    const inside = path.join(folder, place);
    if (!existsSync(inside)) return [];
    return readdirSync(inside)
      .filter((name) => name.endsWith('.onnx'))
      .map((name) => path.join(inside, name));
  });
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
