/** @file Module names: architectures use those of transformers 4, graphs those of either version. */

import { type Generation, type ModelFamily, type NameTable, translatePath } from '@onnx-lora/sdk/plugin';

/** Module names of a class, translated between transformers versions. */
export class ModuleNames {
  /** The transformers version of the module names. */
  readonly generation: Generation;
  readonly #table: NameTable;

  /** Names for one architecture. @param family translates between versions; without it modules keep the names of transformers 4 */
  constructor(architecture: string, family: ModelFamily | undefined, generation: Generation) {
    const tables = family?.generations ?? [];
    const own = tables.filter(({ architectures }) => architectures?.includes(architecture) ?? true);
    this.#table = { pairs: own.flatMap(({ pairs }) => pairs) };
    this.generation = own.length > 0 ? generation : 4;
  }

  /** A module's path in the graph. */
  ofModule(path: string): string {
    return translatePath(path, this.#table, this.generation) ?? path;
  }

  /** A parameter's name in the graph, or under another version of transformers. */
  ofParameter(name: string, generation: Generation = this.generation): string {
    const end = name.lastIndexOf('.');
    const module = name.slice(0, Math.max(end, 0));
    return `${translatePath(module, this.#table, generation) ?? module}${name.slice(Math.max(end, 0))}`;
  }
}
