/** @file Splits of a dataset. */

import { OnnxLoraError } from '../../errors.ts';
import type { SettingRow } from '../../plugin/settings.ts';

/** The split of a record. */
export type Split = 'train' | 'validation' | 'test';

/** Splits by their usual names. */
export const splitNames: ReadonlyMap<string, Split> = new Map([
  ['train', 'train'],
  ['training', 'train'],
  ['validation', 'validation'],
  ['val', 'validation'],
  ['valid', 'validation'],
  ['dev', 'validation'],
  ['test', 'test'],
  ['testing', 'test'],
]);

/** The splits of a dataset. */
export interface SplitData<Item> {
  /** Training data. */
  readonly train: readonly Item[];
  /** Validation data, if any. */
  readonly validation?: readonly Item[];
  /** Test data, if any. */
  readonly test?: readonly Item[];
}

/** Groups records by split; records without one are training data. Empty splits are left out. */
export function recordsBySplit<Item extends { readonly split?: Split }>(records: readonly Item[]): SplitData<Item> {
  const of = (split: Split): Item[] => records.filter((record) => (record.split ?? 'train') === split);
  const [validation, test] = [of('validation'), of('test')];
  return { train: of('train'), ...(validation.length > 0 && { validation }), ...(test.length > 0 && { test }) };
}

/** Uses the test split for validation where there is no other, so that none is left for testing. */
export function withTestForValidation<Data extends SplitData<unknown>>(data: Data): Data {
  if (data.validation !== undefined || !data.test) return data;
  const { test, ...rest } = data;
  return { ...rest, validation: test } as unknown as Data;
}

/** The split to evaluate on: `test` in place of any other, or `validation`, the default. */
export type EvalSplit = 'validation' | 'test';

/** {@link EvalSplit} as a setting, shared by tasks. */
export const evalSplitSetting: SettingRow<EvalSplit> = {
  kind: 'choice',
  of: ['validation', 'test'],
  description: 'validation (default) or test: which split is measured on.',
};

/**
 * The data with the chosen split as validation data; a test split used for it is not a test split any more.
 * @param noun the examples in the plural, such as `images`
 * @throws OnnxLoraError `DATA_INVALID` if that split is missing
 */
export function withEvalSplit<Data extends SplitData<unknown>>(
  data: Data,
  evalSplit: EvalSplit | undefined,
  noun: string,
): Data {
  if (evalSplit !== 'test') return withTestForValidation(data);
  const { test, ...rest } = data;
  if (!test) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `evalSplit is "test", but the data have no such split: ${data.train.length} ${noun} are for training and ${data.validation?.length ?? 0} for validation. Leave it out, or name the split in the data.`,
    );
  }
  return { ...rest, validation: test } as unknown as Data;
}

/** The records that determine what to learn, such as classes: training data, or held-out data if there is no other. */
export function definingRecords<Item>({ train, validation = [] }: SplitData<Item>): readonly Item[] {
  return train.length > 0 ? train : validation;
}

/** @throws OnnxLoraError `DATA_INVALID` for a number outside of 0 to 1 */
export function checkFraction(validation: string | number | undefined): void {
  if (typeof validation !== 'number' || (validation > 0 && validation < 1)) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The validation fraction must lie between 0 and 1, but is ${validation}. Give a fraction such as 0.2, or the path of a folder.`,
  );
}
