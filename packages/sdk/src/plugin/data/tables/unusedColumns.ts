/** @file Columns of tables that a task does not use, and other tasks that would learn what they hold. */

import { listed } from '../../tasks/listed.ts';

/** Another task that data fit. */
export interface AlsoFits {
  /** The name of the task. */
  readonly task: string;
  /** The column that it would learn. */
  readonly column: string;
}

/** Collects the unused columns of all tables of the data. `readData` makes one, and readers of tables fill it. */
export class UnusedColumns {
  readonly #columns = new Set<string>();
  readonly #tasks = new Map<string, AlsoFits>();

  /** Notes the unused columns of a table, and the tasks that would learn some of them. */
  add(columns: readonly string[], tasks: readonly AlsoFits[] = []): void {
    for (const column of columns) this.#columns.add(column);
    for (const each of tasks) this.#tasks.set(`${each.task} ${each.column}`, each);
  }

  /** A warning that names the columns, where there are some. */
  get warnings(): readonly string[] {
    if (this.#columns.size === 0) return [];
    return [`Columns that are not used: ${listed([...this.#columns], 12)}.`];
  }

  /** The other tasks that the data fit. */
  get alsoFits(): readonly AlsoFits[] {
    return [...this.#tasks.values()];
  }
}
