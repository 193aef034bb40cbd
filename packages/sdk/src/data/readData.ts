/** @file Reads the data of a domain: a path or records of the user's own, divided, and looked through for what is in two splits. */

import { OnnxLoraError } from '../errors.ts';
import { fairHoldOut, type RecordSplit } from './splits/splitRecords.ts';
import { checkFraction, type EvalSplit, measuredOn, type SplitData } from './splits/splits.ts';
import { UnusedColumns } from './tables/unusedColumns.ts';
import type { AlsoFits } from '../plugin/preparedTask.ts';

/** Data in their parts, and what their owner should know of them, such as examples that are in two splits. */
export interface ReadData<Item> extends SplitData<Item> {
  /** What their owner should know before training. */
  readonly warnings?: readonly string[];
  /** Other tasks that would learn columns that are not used. */
  readonly alsoFits?: readonly AlsoFits[] | undefined;
}

/** What a user may say of how data are divided, whatever they are of. */
export interface DivideOptions<Item> {
  /**
   * Data held out for evaluation: the path of other data, or a fraction between 0 and 1 of what would be trained on; 0 holds
   * nothing out that the data does not. Without it the data's own validation split is taken, or its test split where it has no
   * other.
   */
  readonly validation?: string | number | undefined;
  /** A fraction to hold out where the data has no part for evaluation and `validation` says nothing; none by default. */
  readonly holdOut?: number | undefined;
  /** Whether what `holdOut` would hold out can be measured; if not, nothing is held out by it. */
  readonly canMeasure?: ((held: readonly Item[]) => boolean) | undefined;
  /** Seed of the split by fraction; 0 by default. */
  readonly seed?: number | undefined;
  /** Which of the data's own splits is measured on: `test` in place of any other, or `validation`, the default. */
  readonly evalSplit?: EvalSplit | undefined;
  /** Where readers of tables note the columns that they do not use; {@link readData} makes it. */
  readonly unused?: UnusedColumns | undefined;
}

/** What is held out, and what is said of it. */
export interface HeldOut<Item, Data> extends RecordSplit<Item> {
  /** What is kept together, for the error where nothing is held out: `speakers are not divided`. */
  readonly whole: string;
  /** What the data are said to be beside their parts, such as how they were divided. */
  readonly facts?: Partial<Data>;
  /** What their owner should know of the division. */
  readonly warnings?: readonly string[];
}

/** How a domain reads its data. */
export interface DataReader<Item, Data extends ReadData<Item>, Source, Options> {
  /** What the examples are, in the plural: `images`. */
  readonly noun: string;
  /** What the user can do where nothing can be held out: `choose what is not divided (splitBy)`. */
  readonly remedy: string;
  /**
   * Data by the splits that they name themselves.
   *
   * @param beside the data that these are to be measured beside, where they are for that
   */
  readonly read: (source: Source, options: Options, beside?: Data) => Promise<Data>;
  /** Holds about `fraction` of what is trained on out; nothing where that cannot be. */
  readonly holdOut: (
    data: Data,
    fraction: number,
    options: Options,
  ) => HeldOut<Item, Data> | Promise<HeldOut<Item, Data>>;
  /** What is said of data that are measured on the other data of this path. */
  readonly besides?: (path: string) => Partial<Data>;
  /** Warnings about what is in more than one of the parts, which are two at least. */
  readonly shared: (parts: readonly (readonly Item[])[], data: Data, options: Options) => Promise<readonly string[]>;
}

/**
 * Reads data and divides them: by what they say themselves, by a fraction, or beside other data.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, also where nothing can be held out; as the reader
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
    const other = measuredOn(await reader.read(validation, options, data), evalSplit, noun);
    const beside = { ...data, ...reader.besides?.(validation), validation: other.validation ?? other.train };
    return withWarnings(beside, other.warnings);
  }
  const own = measuredOn(data, evalSplit, noun);
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

/**
 * Records of the user's own, each as `check` makes it.
 *
 * @param check takes a record, which may come from JavaScript, and its number from 1
 */
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
  throw new OnnxLoraError('DATA_INVALID', `${name} has no ${noun}. Check what the task was given.`);
}
