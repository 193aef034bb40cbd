/** @file What the modules of a checkpoint are called: architectures have the names of transformers 4, graphs those of either version. */

import { type Generation, type ModelFamily, type NameTable, translatePath } from '@onnx-lora/sdk/plugin';

/** The names of one class of a family. */
export class ModuleNames {
  /** The version of transformers whose names the modules get. */
  readonly generation: Generation;
  readonly #table: NameTable;

  /**
   * The names of one version for a model.
   *
   * @param architecture the class of transformers, by which some families' names differ
   * @param family what knows the names of both versions; without it all modules keep the names of transformers 4
   */
  constructor(architecture: string, family: ModelFamily | undefined, generation: Generation) {
    const tables = family?.generations ?? [];
    const own = tables.filter(({ architectures }) => architectures?.includes(architecture) ?? true);
    this.#table = { pairs: own.flatMap(({ pairs }) => pairs) };
    this.generation = own.length > 0 ? generation : 4;
  }

  /** The path that a module has in the graph. */
  ofModule(path: string): string {
    return translatePath(path, this.#table, this.generation) ?? path;
  }

  /** The name that a parameter has in the graph, or under another version of transformers. */
  ofParameter(name: string, generation: Generation = this.generation): string {
    const end = name.lastIndexOf('.');
    const module = name.slice(0, Math.max(end, 0));
    return `${translatePath(module, this.#table, generation) ?? module}${name.slice(Math.max(end, 0))}`;
  }
}
