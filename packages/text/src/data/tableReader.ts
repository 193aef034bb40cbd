/** @file Readers of records from tables and folders, with their splits. */

import { extname, join, stat } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { quotedNames } from '@onnx-lora/sdk/tasks';
import {
  cellList,
  ColumnFinder,
  type ColumnRoles,
  type DataReader,
  type DivideOptions,
  type FolderEntries,
  type NamedColumns,
  type ReadData,
  givenRecords,
  manifestEndings,
  readFolder,
  readSplits,
  recordsBySplit,
  requireRecords,
  sharedBetweenSplits,
  sharedWarning,
  isObject,
  type Row,
  type Split,
  splitManifests,
  splitRecords,
  type Table,
} from '@onnx-lora/sdk/data';
import { PARQUET, readAnyTable, type SequenceData, type SequenceRecord } from '@onnx-lora/sequences';

const endings: readonly string[] = [...manifestEndings, PARQUET];

/**
 * Reads a table of messages and drops null fields: Parquet gives all objects of a column the same fields, and chat
 * templates test whether a message has one.
 * @throws OnnxLoraError as `readAnyTable`
 */
export async function readPromptTable(file: string): Promise<Table> {
  const table = await readAnyTable(file);
  return { ...table, rows: table.rows.map((row) => promptRow(file, row)) };
}

/** A row of {@link readPromptTable}. */
export function promptRow(file: string, row: Row): Row {
  if (!file.toLowerCase().endsWith(PARQUET)) return row;
  return { ...row, cells: { get: (column) => withoutEmpty(row.cells.get(column)) } };
}

function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (!isObject(value)) return value;
  const given = Object.entries(value).filter(([, each]) => each !== null && each !== undefined);
  return Object.fromEntries(given.map(([name, each]) => [name, withoutEmpty(each)]));
}

/** Finds the column of each role; the finder knows the remaining columns. */
export function columnsOf<Role extends string>(
  table: Table,
  roles: ColumnRoles<Role>,
  names: NamedColumns<Role> | undefined,
): { readonly columns: { readonly [R in Role]?: string }; readonly finder: ColumnFinder<Role> } {
  const finder = new ColumnFinder(table, roles, names);
  const columns = Object.fromEntries((Object.keys(roles) as Role[]).map((role) => [role, finder.one(role)]));
  return { columns: columns as { readonly [R in Role]?: string }, finder };
}

/** A cell with a text, blanks included, or with a list of messages, possibly as JSON. */
export function textOrMessagesIn(row: Row, column: string | undefined): unknown {
  const cell = column === undefined ? undefined : row.cells.get(column);
  return typeof cell === 'string' && cell.trimStart().startsWith('[{') ? cellList(row, column!) : cell;
}

interface PlacedRecord {
  readonly where: string;
  readonly split?: Split;
}

/** Describes a kind of records. */
export interface TableKind<Item extends PlacedRecord, Given, Options> {
  /** The plural of a record: `conversations`. */
  readonly noun: string;
  /** The remedy where nothing can be held out. */
  readonly remedy: string;
  readonly table: (file: string, options: Options) => Promise<Item[]>;
  readonly checked: (given: Given, where: string) => Item;
  /** Equal for equal records. */
  readonly key: (record: Item) => string;
  /** The key of records that stay in one split. */
  readonly together: (record: Item) => string;
  /** The rule of the split in words. */
  readonly whole: string;
}
type Divided<Item> = ReadData<Item> & { readonly warnings: readonly string[] };

/** Makes a reader of records from a path, a caller's records, or an earlier result. */
export function tableReader<
  Item extends PlacedRecord,
  Given extends { readonly where?: string | undefined },
  Options extends DivideOptions<Item>,
>({
  noun,
  remedy,
  table,
  checked,
  key,
  together,
  whole,
}: TableKind<Item, Given, Options>): DataReader<
  Item,
  Divided<Item>,
  string | Divided<Item> | AsyncIterable<Given> | readonly Given[],
  Options
> {
  return {
    noun,
    remedy,
    read: async (source, options) => {
      if (typeof source === 'object' && 'train' in source) return source;
      const records = await (typeof source === 'string'
        ? readTables(source, noun, (file) => table(file, options))
        : givenRecords(source, (each, number) => checked(each as Given, each.where ?? `record ${number}`)));
      requireRecords(records, source, noun);
      return { ...recordsBySplit(records), warnings: [] };
    },
    holdOut: ({ train }, fraction, { seed = 0 }) => ({
      ...splitRecords(train, fraction, seed, (record) => ({ key: key(record), file: together(record) })),
      whole,
    }),
    shared: (parts) => {
      const found = sharedBetweenSplits(parts, key);
      return Promise.resolve(sharedWarning(found, `${noun} are`, ([[a], [b]]) => `${a!.where} and ${b!.where}`));
    },
  };
}

interface SequenceKind<R extends SequenceRecord, Given, Options> {
  readonly noun: string;
  readonly remedy: string;
  readonly path: (source: string, options: Options) => Promise<readonly R[]>;
  readonly checked: (given: Partial<Given>, number: number) => R;
  /** Equal for equal records. */
  readonly plain: (record: R) => string;
  readonly groupOf: (record: R) => string | undefined;
  readonly whole: string;
}

/** Makes a reader of sequence records from a path, a caller's records, or an earlier result. */
export function sequenceReader<R extends SequenceRecord, Given, Options extends DivideOptions<R>>({
  noun,
  remedy,
  path,
  checked,
  plain,
  groupOf,
  whole,
}: SequenceKind<R, Given, Options>): DataReader<
  R,
  SequenceData<R>,
  string | readonly Given[] | AsyncIterable<Given> | SequenceData<R>,
  Options
> {
  return {
    noun,
    remedy,
    read: async (source, options) => {
      if (typeof source === 'object' && 'train' in source) return source;
      const records = typeof source === 'string' ? await path(source, options) : await givenRecords(source, checked);
      requireRecords(records, source, noun);
      return { ...recordsBySplit(records), warnings: [] };
    },
    holdOut: ({ train }, fraction, { seed = 0 }) => {
      const split = splitRecords(train, fraction, seed, (each) => ({ key: plain(each), group: groupOf(each) }));
      return { ...split, whole, facts: { splitBy: whole } };
    },
    besides: heldOutElsewhere,
    shared: (parts) => Promise.resolve(sharedWarnings(parts, plain, noun)),
  };
}

/** Describes a validation set read from a path of its own. */
export const heldOutElsewhere = (file: string): { readonly splitBy: string } => ({ splitBy: `given as "${file}"` });

/** Warns of records that appear in several splits. */
export function sharedWarnings<R extends SequenceRecord>(
  parts: readonly (readonly R[])[],
  plain: (record: R) => string,
  noun: string,
): string[] {
  const found = sharedBetweenSplits(parts, plain);
  return sharedWarning(found, `${noun} are`, ([[first], [second]]) => `"${first!.where}" and "${second!.where}"`);
}

/** Whether a path is a folder. Other paths are opened as files, which reports their errors. */
export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/**
 * Reads a file, or a folder with a file per split, named as in `example`.
 * @throws OnnxLoraError `DATA_INVALID` for a folder without such files
 */
export async function readFileOrSplits<Item extends { readonly split?: Split }>(
  path: string,
  splitsIn: (entries: FolderEntries) => ReturnType<typeof splitManifests>,
  read: (file: string) => Promise<readonly Item[]>,
  example: string,
): Promise<readonly Item[]> {
  if (!(await isFolder(path))) return read(path);
  const found = await readSplits(splitsIn(await readFolder(path)), (name) => read(join(path, name)));
  if (found) return found;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${path}" has no file for a split, such as ${example}. Name the files so, or give one file.`,
  );
}

/**
 * Reads a file, or a folder with one file or one per split.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` for a path without such a file
 */
async function readTables<Item extends { readonly split?: Split }>(
  path: string,
  noun: string,
  read: (file: string) => Promise<Item[]>,
): Promise<readonly Item[]> {
  const isTable = (name: string): boolean => endings.includes(extname(name).toLowerCase());
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) {
    if (isTable(path)) return read(path);
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${path}" is no data that can be read: it should end in ${endings.join(', ')}. Write one of the ${noun} on each line of a file that ends in .jsonl.`,
    );
  }
  const entries = await readFolder(path);
  const divided = await readSplits(splitManifests(entries, endings), (name) => read(join(path, name)));
  if (divided) return divided;
  const tables = entries.files.filter(isTable);
  if (tables.length === 1) return read(join(path, tables[0]!));
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${path}" should have one file of ${noun} (${endings.join(', ')}), or train.jsonl, validation.jsonl and test.jsonl, but ${tables.length === 0 ? 'has none' : `has ${quotedNames(tables)}`}. Name a file, or rename them.`,
  );
}
