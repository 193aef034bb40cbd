/** @file The parts of a dataset, and the records in them. */

import { OnnxLoraError } from '../../errors.ts';
import type { SettingRow } from '../../plugin/settings.ts';

/** Which part of the data a record is in. */
export type Split = 'train' | 'validation' | 'test';

/** Splits by the names that people give them. */
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

/** The parts of a dataset. */
export interface SplitData<Item> {
  /** What is trained on. */
  readonly train: readonly Item[];
  /** What is measured on; absent where the data holds nothing out. */
  readonly validation?: readonly Item[];
  /** What is measured on at the very end; absent where the data has no such split. */
  readonly test?: readonly Item[];
}

/** Records by the split that each says; those that say none are trained on. Splits without records are left out. */
export function recordsBySplit<Item extends { readonly split?: Split }>(records: readonly Item[]): SplitData<Item> {
  const of = (split: Split): Item[] => records.filter((record) => (record.split ?? 'train') === split);
  const [validation, test] = [of('validation'), of('test')];
  return { train: of('train'), ...(validation.length > 0 && { validation }), ...(test.length > 0 && { test }) };
}

/** Where only a test split is held out, it is what the run is measured on, and so no test any more. */
export function withTestForValidation<Data extends SplitData<unknown>>(data: Data): Data {
  if (data.validation !== undefined || !data.test) return data;
  const { test, ...rest } = data;
  return { ...rest, validation: test } as unknown as Data;
}

/** Which of the data's own parts is measured on: `test` in place of any other, or `validation`, the default. */
export type EvalSplit = 'validation' | 'test';

/** {@link EvalSplit} as a setting, the same for all tasks on data. */
export const evalSplitSetting: SettingRow<EvalSplit> = {
  kind: 'choice',
  of: ['validation', 'test'],
  description: 'validation (default) or test: which split is measured on.',
};

/**
 * The data with the part for validation that is asked for; one for testing that is measured on is no test any more.
 *
 * @param noun what the data are of, such as `images`
 * @throws OnnxLoraError `DATA_INVALID` where there is no such part
 */
export function measuredOn<Data extends SplitData<unknown>>(
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

/** The records that say what there is to learn, such as classes: those that are trained on, or what data have that are only measured on. */
export function telling<Item>({ train, validation = [] }: SplitData<Item>): readonly Item[] {
  return train.length > 0 ? train : validation;
}

/**
 * What is held out, where it is said as a fraction.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a number that is no part of the whole
 */
export function checkFraction(validation: string | number | undefined): void {
  if (typeof validation !== 'number' || (validation > 0 && validation < 1)) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The validation fraction must lie between 0 and 1, but is ${validation}. Give a fraction such as 0.2, or the path of a folder.`,
  );
}
