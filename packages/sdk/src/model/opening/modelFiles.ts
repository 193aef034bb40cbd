/** @file Where a model's .onnx files come from: the disk, or a plugin that builds them of what a folder has instead. */

import { existsSync, readdirSync, realpathSync } from 'node:fs';
import path from 'node:path';
import type { OnnxFile } from '../../graph/file/onnxFile.ts';
import { openOnnx } from '../../graph/file/onnxFile.ts';
import type { ModelBuilder } from '../../plugin/registry/contributions.ts';
import type { PluginRegistry } from '../../plugin/registry/loadPlugins.ts';

/** Finds and opens .onnx files. */
export interface ModelFiles {
  /** Whether there is such a file. */
  readonly has: (file: string) => boolean;
  /** Opens one. @throws OnnxLoraError as `openOnnx` */
  readonly open: (file: string) => OnnxFile;
}

/** What lies on the disk. */
export const filesOnDisk: ModelFiles = { has: existsSync, open: openOnnx };

/** Where published repositories keep .onnx files, in order of preference. */
export const places: readonly string[] = ['onnx', '.'];

/** The .onnx files of a folder, at its top and then in `onnx`. */
export function onnxFilesIn(folder: string): string[] {
  return places.toReversed().flatMap((place) => {
    const inside = path.join(folder, place);
    if (!existsSync(inside)) return [];
    return readdirSync(inside)
      .filter((name) => name.endsWith('.onnx'))
      .map((name) => path.join(inside, name));
  });
}

/** What can build the graphs of a folder without .onnx files; undefined where it has some, or nothing can. */
export function builderFor(folder: string, { builders }: PluginRegistry): ModelBuilder | undefined {
  return onnxFilesIn(folder).length > 0 ? undefined : builders.find((builder) => builder.recognises(folder));
}

/**
 * The files that a builder makes of a folder: they are in memory, and their weights where they were.
 *
 * @throws OnnxLoraError as the builder
 */
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

/** One name for a file, links followed; of one that was built, its own. */
export function realFile(file: string): string {
  return existsSync(file) ? realpathSync(file) : path.resolve(file);
}
