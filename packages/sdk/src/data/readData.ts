/** @file Reads the data of a domain from a path or records, splits them, and checks for overlap. */

import { OnnxLoraError } from '../errors.ts';
import { fairHoldOut, type RecordSplit } from './splits/splitRecords.ts';
import { checkFraction, type EvalSplit, withEvalSplit, type SplitData } from './splits/splits.ts';
import { UnusedColumns } from './tables/columns.ts';
import type { TaskSuggestion } from '../plugin/preparedTask.ts';

/** Data by split, with warnings such as overlap between splits. */
export interface ReadData<Item> extends SplitData<Item> {
  /** Warnings for the user before training. */
  readonly warnings?: readonly string[];
  /** Other tasks that could learn unused columns. */
  readonly alsoFits?: readonly TaskSuggestion[] | undefined;
}

/** A domain's options for splitting data. */
export interface DivideOptions<Item> {
  /** Other data, or a fraction to hold out; 0 for none. By default the data's own validation split, or else test split. */
  readonly validation?: string | number | undefined;
  /** Fraction to hold out where the data has no held-out split and `validation` is absent; none by default. */
  readonly holdOut?: number | undefined;
  /** Whether a set can be evaluated; if not, `holdOut` holds out nothing. */
  readonly canMeasure?: ((held: readonly Item[]) => boolean) | undefined;
  /** Seed of the split; 0 by default. */
  readonly seed?: number | undefined;
  /** The split to evaluate on: `test` in place of any other, or `validation`, the default. */
  readonly evalSplit?: EvalSplit | undefined;
  /** Collects the unused columns of tables; set by {@link readData}. */
  readonly unused?: UnusedColumns | undefined;
}

/** A split, with remarks for the user. */
export interface HeldOut<Item, Data> extends RecordSplit<Item> {
  /** Why nothing can be held out, for the error: `speakers are not divided`. */
  readonly whole: string;
  /** Further properties of the data, such as how they were split. */
  readonly facts?: Partial<Data>;
  /** Warnings about the split. */
  readonly warnings?: readonly string[];
}

/** How a domain reads its data. */
export interface DataReader<Item, Data extends ReadData<Item>, Source, Options> {
  /** The examples in the plural: `images`. */
  readonly noun: string;
  /** The user's remedy where nothing can be held out: `choose the groups to keep together (splitBy)`. */
  readonly remedy: string;
  /** Reads data by their own splits. `beside` is the training data, where these are its validation data. */
  readonly read: (source: Source, options: Options, beside?: Data) => Promise<Data>;
  /** Holds out about `fraction` of the training data, or nothing where that is impossible. */
  readonly holdOut: (
    data: Data,
    fraction: number,
    options: Options,
  ) => HeldOut<Item, Data> | Promise<HeldOut<Item, Data>>;
  /** Properties of data whose validation data come from `path`. */
  readonly besides?: (path: string) => Partial<Data>;
  /** Warnings about examples in more than one split. It is called with two splits or more. */
  readonly shared: (parts: readonly (readonly Item[])[], data: Data, options: Options) => Promise<readonly string[]>;
}

/**
 * Reads and splits data: by their own splits, by a fraction, or with separate validation data. @throws OnnxLoraError
 * `FILE_NOT_FOUND`; `DATA_INVALID`, also if nothing can be held out; errors of the reader
 */
export async function readData<Item, Data extends ReadData<Item>, Source, Options extends DivideOptions<Item>>(
  reader: DataReader<Item, Data, Source | string, Options>,
  source: Source | string,
  options: Options,
): Promise<Data> {
  if (options.validation !== 0) checkFraction(options.validation);
  const unused = new UnusedColumns();
  const data = await divided(reader, source, { ...options, unused });
  const parts = [data.train, data.validation, data.test].filter((records) => records !== undefined);
  const shared = parts.length > 1 ? await reader.shared(parts, data, options) : [];
  const warnings = [...new Set([...(data.warnings ?? []), ...unused.warnings, ...shared])];
  return { ...data, warnings, ...(unused.alsoFits.length > 0 && { alsoFits: unused.alsoFits }) };
}

async function divided<Item, Data extends ReadData<Item>, Source, Options extends DivideOptions<Item>>(
  reader: DataReader<Item, Data, Source | string, Options>,
  source: Source | string,
  options: Options,
): Promise<Data> {
  const { noun, remedy } = reader;
  const { validation, holdOut, evalSplit, canMeasure } = options;
  const data = await reader.read(source, options);
  const withWarnings = (own: Data, more: readonly string[] = []): Data => ({
    ...own,
    warnings: [...(own.warnings ?? []), ...more],
  });
  if (typeof validation === 'string') {
    const other = withEvalSplit(await reader.read(validation, options, data), evalSplit, noun);
    const beside = { ...data, ...reader.besides?.(validation), validation: other.validation ?? other.train };
    return withWarnings(beside, other.warnings);
  }
  const own = withEvalSplit(data, evalSplit, noun);
  const withHeld = ({ kept, held, facts, warnings }: HeldOut<Item, Data>): Data =>
    withWarnings({ ...data, ...facts, train: kept, validation: held }, warnings);
  if (validation && evalSplit !== 'test') {
    const split = await reader.holdOut(data, validation, options);
    if (split.held.length > 0) return withHeld(split);
    const name = typeof source === 'string' ? `"${source}"` : 'the given data';
    throw new OnnxLoraError(
      'DATA_INVALID',
      `Nothing of ${name} can be held out at a fraction of ${validation}: there are ${data.train.length} ${noun} to train on, and ${split.whole}. Add ${noun}, ${remedy}, or give other data for validation.`,
    );
  }
  if (validation === 0 || holdOut === undefined || own.validation) return own;
  const split = await reader.holdOut(own, holdOut, options);
  return fairHoldOut(split, holdOut, canMeasure) ? withHeld(split) : own;
}

/** Checks a program's records, which may be untyped, one by one; `number` counts from 1. */
export async function givenRecords<Given, Item>(
  source: AsyncIterable<Given> | readonly Given[],
  check: (record: Partial<Given>, number: number) => Item,
): Promise<Item[]> {
  const records: Item[] = [];
  for await (const record of source) records.push(check(record, records.length + 1));
  return records;
}

/** @throws OnnxLoraError `DATA_INVALID` where there are no records */
export function requireRecords(records: readonly unknown[], source: unknown, noun: string): void {
  if (records.length > 0) return;
  const name = typeof source === 'string' ? `"${source}"` : 'The given data';
  throw new OnnxLoraError('DATA_INVALID', `${name} has no ${noun}. Check the task's data.`);
}
