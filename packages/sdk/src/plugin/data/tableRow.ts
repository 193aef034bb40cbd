/** @file The rows of tables, and how tables are read. */

/** One row. */
export interface Row {
  /** Where it is, for messages: `labels.csv, line 12`. */
  readonly place: string;
  /** Cells by column: text in a CSV file, any JSON value in a JSON one. */
  readonly cells: Cells;
}

/** Cells by the name of their column. */
export interface Cells {
  /** Undefined where there is none. */
  get(column: string): unknown;
}

/** How a table is read. */
export interface TableOptions {
  /** Whether quotes in a CSV or TSV file enclose cells; true by default. Otherwise they are a part of them like any other sign. */
  readonly hasQuotes?: boolean;
}
