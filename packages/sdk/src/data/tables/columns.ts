/** @file Which column of a table holds what: as the user says, by its usual names, or by what it holds. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { listed } from '../listed.ts';
import type { SettingRow, SettingRows } from '../../plugin/settings.ts';
import type { Table } from './table.ts';

/** What a column of a domain's tables may hold. */
export interface ColumnRole {
  /** One line for `--help`: `Column with the class.` */
  readonly description: string;
  /** Names that it usually has, in lower case; the first that is there is taken. None is taken by its name alone by default. */
  readonly usual?: readonly string[];
  /** Whether several columns may be named; false by default. */
  readonly isMany?: boolean;
}

/** What the columns of a domain's tables may hold. */
export type ColumnRoles<Role extends string> = Readonly<Record<Role, ColumnRole>>;

/** Columns that a user names, by what they hold. */
export type NamedColumns<Role extends string> = { readonly [R in Role]?: string | readonly string[] | undefined };

/**
 * The settings by which the command line names columns: rows for the option `columns` of whatever reads data. They are called as
 * in a program: `columns.label`.
 */
export function columnSettings<Columns>(roles: ColumnRoles<string & keyof Columns>): SettingRows<Columns> {
  const rows = Object.entries<ColumnRole>(roles).map(
    ([role, { description, isMany }]): [string, SettingRow<string | readonly string[]>] => {
      const name = `columns.${role}`;
      return [role, isMany ? { name, kind: 'texts', description } : { name, kind: 'text', description }];
    },
  );
  // Roles and columns go by the same names, which the compiler cannot follow through the entries.
  return Object.fromEntries(rows) as unknown as SettingRows<Columns>;
}

/** How the error about a column that is not there is worded. */
export interface MissingColumn {
  /** What it would hold: `the image`. */
  readonly what: string;
  /** True of a name of a column that is an example by itself, as where a table has no header. */
  readonly isData: (column: string) => boolean;
  /** A header as it should be: `image,label`. */
  readonly header: string;
}

/** Hands out the columns of a table, each for one purpose. */
export class ColumnFinder<Role extends string> {
  readonly #table: Table;
  readonly #roles: ColumnRoles<Role>;
  readonly #names: NamedColumns<Role>;
  readonly #taken = new Set<string>();

  /**
   * What the user names is taken at once, so that no usual name takes it for something else.
   *
   * @throws OnnxLoraError `DATA_INVALID` when the user names a column that is not there
   */
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
            `"${file}" has no column "${name}" (columns.${role}).${didYouMean(name, columns)} Its columns: ${listed(columns)}.`,
          );
        }
        this.take(name);
      }
    }
  }

  /** The columns that have no purpose yet. */
  get rest(): readonly string[] {
    return this.#table.columns.filter((column) => !this.#taken.has(column));
  }

  /** Gives a column, where there is one, its purpose. */
  take(column: string | undefined): string | undefined {
    if (column !== undefined) this.#taken.add(column);
    return column;
  }

  /** What the user names. */
  chosen(role: Role): readonly string[] {
    const given = this.#names[role] ?? [];
    return typeof given === 'string' ? [given] : given;
  }

  /** The column that the user names, or the free one with the first of the usual names that fits. Case does not matter. */
  one(role: Role, fits: (column: string) => boolean = () => true): string | undefined {
    return this.chosen(role)[0] ?? this.usual(role, fits);
  }

  /** The columns that the user names, or the free one with the first of the usual names. */
  many(role: Role): readonly string[] | undefined {
    const chosen = this.chosen(role);
    if (chosen.length > 0) return chosen;
    const found = this.usual(role);
    return found === undefined ? undefined : [found];
  }

  /** The free column with the first of the usual names that fits. */
  usual(role: Role, fits: (column: string) => boolean = () => true): string | undefined {
    const free = this.#free();
    const names = this.#roles[role].usual ?? [];
    return this.take(names.map((name) => free.get(name)).find((column) => column !== undefined && fits(column)));
  }

  /** All of some names, where all are there and free. */
  all(names: readonly string[]): readonly string[] | undefined {
    const free = this.#free();
    if (!names.every((name) => free.has(name))) return undefined;
    return names.map((name) => this.take(free.get(name))!);
  }

  /** The only free column that fits. */
  lone(fits: (column: string) => boolean): string | undefined {
    const fitting = this.rest.filter(fits);
    return fitting.length === 1 ? this.take(fitting[0]) : undefined;
  }

  /** The error about a column that is not there, `alike` the one that was perhaps meant. */
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
      `"${file}" has no column for ${what}, such as ${listed(usual.slice(0, 4))}. Its columns: ${listed(columns, 12)}. ${remedy}`,
    );
  }

  #free(): ReadonlyMap<string, string> {
    return new Map(this.rest.map((column) => [column.toLowerCase(), column]));
  }
}
