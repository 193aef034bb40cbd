/** @file Finds the columns of a table, by their usual names or as the user says. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { listed } from '../tasks/listed.ts';
import type { Table } from './table.ts';

/** Hands out the columns of a table, each for one purpose. */
export class ColumnFinder {
  readonly #table: Table;
  readonly #lower: ReadonlyMap<string, string>;
  readonly #taken = new Set<string>();

  /** For the columns of a table, none of which has a purpose yet. */
  constructor(table: Table) {
    this.#table = table;
    this.#lower = new Map(table.columns.map((column) => [column.toLowerCase(), column]));
  }

  /**
   * The column that the user names.
   *
   * @param role what it holds, for the message: the name of the option
   * @throws OnnxLoraError `DATA_INVALID` when there is none of this name
   */
  chosen(name: string, role: string): string {
    const { file, columns } = this.#table;
    if (columns.includes(name)) return this.#take(name);
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" has no column "${name}" (columns.${role}).${didYouMean(name, columns)} Its columns: ${listed(columns)}.`,
    );
  }

  /** The first of some usual names that is there and not yet taken. Case does not matter. */
  found(usual: readonly string[]): string | undefined {
    const name = usual.find((each) => this.#isFree(each));
    return name === undefined ? undefined : this.#take(this.#lower.get(name)!);
  }

  /** All of some names, where all are there and not yet taken. */
  foundAll(names: readonly string[]): readonly string[] | undefined {
    if (!names.every((each) => this.#isFree(each))) return undefined;
    return names.map((name) => this.#take(this.#lower.get(name)!));
  }

  /** The columns that have no purpose yet. */
  get rest(): readonly string[] {
    return this.#table.columns.filter((column) => !this.#taken.has(column));
  }

  #isFree(name: string): boolean {
    const column = this.#lower.get(name);
    return column !== undefined && !this.#taken.has(column);
  }

  #take(column: string): string {
    this.#taken.add(column);
    return column;
  }
}
