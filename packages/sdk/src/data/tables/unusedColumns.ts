/** @file Columns of tables that a task does not use, and other tasks that would learn what they hold. */

import { listed } from '../listed.ts';
import type { AlsoFits } from '../../plugin/preparedTask.ts';
import type { ColumnRoles } from './columns.ts';

/**
 * The tasks that would learn columns, by the names that these usually have.
 *
 * @param tasks the task that learns what a role holds, by the roles that a task learns
 */
export function tasksOfColumns<Role extends string>(
  columns: readonly string[],
  roles: ColumnRoles<Role>,
  tasks: { readonly [R in Role]?: string },
): readonly AlsoFits[] {
  return (Object.entries(tasks) as [Role, string][]).flatMap(([role, task]) =>
    columns.filter((column) => roles[role].usual?.includes(column.toLowerCase())).map((column) => ({ task, column })),
  );
}

/** Collects the unused columns of all tables of the data. `readData` makes one, and readers of tables fill it. */
export class UnusedColumns {
  readonly #columns = new Set<string>();
  readonly #tasks = new Map<string, AlsoFits>();

  /**
   * Notes the unused columns of a table, and the tasks that would learn columns of it. A reader that is not told for which task it
   * reads names them all: the user is asked about the others.
   */
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
