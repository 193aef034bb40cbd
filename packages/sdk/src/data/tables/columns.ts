/** @file Columns of tables: finding them by the user's choice, by usual names or by content, and noting unused ones. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { quotedNames } from '../listed.ts';
import type { TaskSuggestion } from '../../plugin/preparedTask.ts';
import type { SettingRow, SettingRows } from '../../plugin/settings.ts';
import type { Table } from './table.ts';

/** A role of columns. */
export interface ColumnRole {
  /** One line for `--help`: `Column with the class.` */
  readonly description: string;
  /** Usual names in lower case, in order of preference; without them no column is found by name. */
  readonly usual?: readonly string[];
  /** Whether several columns may be named; false by default. */
  readonly isMany?: boolean;
}

/** The roles of columns in a domain's tables. */
export type ColumnRoles<Role extends string> = Readonly<Record<Role, ColumnRole>>;

/** Columns chosen by the user, by role. */
export type NamedColumns<Role extends string> = { readonly [R in Role]?: string | readonly string[] | undefined };

/** Command-line settings of the option `columns` of a reader, named as in a program: `columns.label`. */
export function columnSettings<Columns>(roles: ColumnRoles<string & keyof Columns>): SettingRows<Columns> {
  const rows = Object.entries<ColumnRole>(roles).map(
    ([role, { description, isMany }]): [string, SettingRow<string | readonly string[]>] => {
      const name = `columns.${role}`;
      return [role, isMany ? { name, kind: 'texts', description } : { name, kind: 'text', description }];
    },
  );
  // Roles and columns have the same names, which the compiler cannot follow through the entries.
  return Object.fromEntries(rows) as unknown as SettingRows<Columns>;
}

/** Parts of the error about a missing column. */
export interface MissingColumn {
  /** Noun for its content: `the image`. */
  readonly what: string;
  /** Whether a column name looks like data, as in a table without a header. */
  readonly isData: (column: string) => boolean;
  /** An example of a header: `image,label`. */
  readonly header: string;
}

/** Assigns the columns of a table to roles, each at most once. */
export class ColumnFinder<Role extends string> {
  readonly #table: Table;
  readonly #roles: ColumnRoles<Role>;
  readonly #names: NamedColumns<Role>;
  readonly #taken = new Set<string>();

  /** Takes the user's columns first, so that no usual name claims them. @throws OnnxLoraError `DATA_INVALID` */
  constructor(table: Table, roles: ColumnRoles<Role>, names: NamedColumns<Role> = {}) {
    this.#table = table;
    this.#roles = roles;
    this.#names = names;
    const { file, columns } = table;
    for (const role of Object.keys(roles) as Role[]) {
      for (const name of this.chosen(role)) {
        if (!columns.includes(name)) {
          throw new OnnxLoraError(
            'DATA_INVALID',
            `"${file}" has no column "${name}" (columns.${role}).${didYouMean(name, columns)} Its columns: ${quotedNames(columns)}.`,
          );
        }
        this.take(name);
      }
    }
  }

  /** Unassigned columns. */
  get rest(): readonly string[] {
    return this.#table.columns.filter((column) => !this.#taken.has(column));
  }

  /** Marks a column as assigned. */
  take(column: string | undefined): string | undefined {
    if (column !== undefined) this.#taken.add(column);
    return column;
  }

  /** The user's columns for a role. */
  chosen(role: Role): readonly string[] {
    const given = this.#names[role] ?? [];
    return typeof given === 'string' ? [given] : given;
  }

  /** The user's column, or the unassigned one with the first usual name that fits, ignoring case. */
  one(role: Role, fits: (column: string) => boolean = () => true): string | undefined {
    return this.chosen(role)[0] ?? this.usual(role, fits);
  }

  /** The user's columns, or the unassigned one with the first usual name. */
  many(role: Role): readonly string[] | undefined {
    const chosen = this.chosen(role);
    if (chosen.length > 0) return chosen;
    const found = this.usual(role);
    return found === undefined ? undefined : [found];
  }

  /** The unassigned column with the first usual name that fits. */
  usual(role: Role, fits: (column: string) => boolean = () => true): string | undefined {
    const free = this.#free();
    const names = this.#roles[role].usual ?? [];
    return this.take(names.map((name) => free.get(name)).find((column) => column !== undefined && fits(column)));
  }

  /** The columns of these names, if all are unassigned. */
  all(names: readonly string[]): readonly string[] | undefined {
    const free = this.#free();
    if (!names.every((name) => free.has(name))) return undefined;
    return names.map((name) => this.take(free.get(name))!);
  }

  /** The only unassigned column that fits. */
  lone(fits: (column: string) => boolean): string | undefined {
    const fitting = this.rest.filter(fits);
    return fitting.length === 1 ? this.take(fitting[0]) : undefined;
  }

  /** The error about a missing column; `alike` is a likely candidate. */
  missing(role: Role, { what, isData, header }: MissingColumn, alike?: string): OnnxLoraError {
    const { file, columns } = this.#table;
    const { usual = [], isMany } = this.#roles[role];
    const shown = alike ?? this.rest[0] ?? columns[0] ?? '…';
    const option = isMany ? `['${shown}']` : `'${shown}'`;
    const remedy = columns.some(isData)
      ? `Its first line looks like data: put a header before it, such as "${header}".`
      : `${alike === undefined ? '' : `Did you mean "${alike}"? `}Rename one, or say which it is: columns: { ${role}: ${option} }, on the command line --set columns.${role}=${shown}.`;
    return new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" has no column for ${what}, such as ${quotedNames(usual.slice(0, 4))}. Its columns: ${quotedNames(columns, 12)}. ${remedy}`,
    );
  }

  #free(): ReadonlyMap<string, string> {
    return new Map(this.rest.map((column) => [column.toLowerCase(), column]));
  }
}

/** Finds the tasks that could learn columns with usual names; `tasks` maps roles to the tasks that learn them. */
export function tasksOfColumns<Role extends string>(
  columns: readonly string[],
  roles: ColumnRoles<Role>,
  tasks: { readonly [R in Role]?: string },
): readonly TaskSuggestion[] {
  return (Object.entries(tasks) as [Role, string][]).flatMap(([role, task]) =>
    columns.filter((column) => roles[role].usual?.includes(column.toLowerCase())).map((column) => ({ task, column })),
  );
}

/** Collects the unused columns of all tables. Created by `readData`, filled by readers of tables. */
export class UnusedColumns {
  readonly #columns = new Set<string>();
  readonly #tasks = new Map<string, TaskSuggestion>();

  /** Adds unused columns, and the tasks that could learn them, so that the user can be asked. */
  add(columns: readonly string[], tasks: readonly TaskSuggestion[] = []): void {
    for (const column of columns) this.#columns.add(column);
    for (const each of tasks) this.#tasks.set(`${each.task} ${each.column}`, each);
  }

  /** A warning that lists the columns, if any. */
  get warnings(): readonly string[] {
    if (this.#columns.size === 0) return [];
    return [`Columns that are not used: ${quotedNames([...this.#columns], 12)}.`];
  }

  /** The other tasks that fit the data. */
  get alsoFits(): readonly TaskSuggestion[] {
    return [...this.#tasks.values()];
  }
}
