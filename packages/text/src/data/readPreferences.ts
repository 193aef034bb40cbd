/** @file Reads preferences from tables and folders, and divides them into splits. */

import {
  cellList,
  cellSplit,
  ColumnFinder,
  type ColumnRoles,
  columnSettings,
  evalSplitSetting,
  readData,
  type Row,
} from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import {
  checkedPreference,
  type PreferenceColumns,
  type PreferenceData,
  type PreferenceDataOptions,
  type PreferenceRecord,
  type PreferenceSource,
  type GivenPreference,
} from './preferenceRecord.ts';
import { readSaid, tableReader } from './tableReader.ts';

/** What the columns of files may hold, by their usual names. */
const preferenceColumns: ColumnRoles<keyof PreferenceColumns> = {
  prompt: { description: 'Column with what is answered.', usual: ['prompt'] },
  chosen: { description: 'Column with the better answer.', usual: ['chosen'] },
  rejected: { description: 'Column with the worse answer.', usual: ['rejected'] },
  completion: {
    description: 'Column with answers that are good or bad by themselves.',
    usual: ['completion', 'response'],
  },
  label: { description: 'Column that says whether they are good.', usual: ['label'] },
  tools: { description: 'Column with JSON schemas of functions that may be called.', usual: ['tools'] }, // prettier-ignore
  split: { description: 'Column with train, validation or test.', usual: ['split'] },
};

/** What the command line may say of how preferences are read. */
export const preferenceSettings: SettingRows<PreferenceDataOptions> = {
  columns: columnSettings<PreferenceColumns>(preferenceColumns),
  evalSplit: evalSplitSetting,
};

/**
 * Reads data in TRL's forms. A path may be a file (JSONL, JSON, Parquet, CSV, TSV) whose rows have `prompt`, `chosen` and `rejected`, or
 * `prompt`, `completion` and `label`, texts or lists of messages; or a folder with one, or with one for each split. Of a fraction
 * that is held out, answers to one prompt stay together.
 *
 * @example
 * const data = await readPreferences('preferences.jsonl', { validation: 0.1 });
 * console.log(data.train.length, data.validation?.length);
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the file, the line and the remedy
 */
export function readPreferences(
  source: PreferenceSource,
  options: PreferenceDataOptions = {},
): Promise<PreferenceData> {
  return readData(preferences, source, options);
}

/** What tells a record from others, wherever it stands. */
export function preferenceKey({ prompt, answers, isGood, tools }: PreferenceRecord): string {
  return JSON.stringify([prompt, answers, isGood, tools]);
}

/** What tells a prompt from others. */
export function promptKey({ prompt }: PreferenceRecord): string {
  return JSON.stringify(prompt);
}

const preferences = tableReader<PreferenceRecord, GivenPreference, PreferenceDataOptions>({
  noun: 'preferences',
  remedy: 'add different prompts',
  table: tableRecords,
  checked: checkedPreference,
  key: preferenceKey,
  together: promptKey,
  whole: 'answers to one prompt stay together',
});

async function tableRecords(
  file: string,
  { columns: names, unused }: PreferenceDataOptions,
): Promise<PreferenceRecord[]> {
  const table = await readSaid(file);
  const finder = new ColumnFinder(table, preferenceColumns, names);
  const roles = Object.keys(preferenceColumns) as (keyof PreferenceColumns)[];
  const { split, label, ...said } = Object.fromEntries(roles.map((role) => [role, finder.one(role)]));
  const one = { isData: () => false, header: 'prompt,chosen,rejected' };
  const isPair = said['chosen'] !== undefined;
  if (isPair && said['rejected'] === undefined) throw finder.missing('rejected', { what: 'the worse answer', ...one });
  if (!isPair && said['completion'] === undefined)
    throw finder.missing('chosen', { what: 'the better answer', ...one });
  unused?.add(finder.rest);
  return table.rows.map((row) => {
    const cells = Object.entries(said).map(([role, column]) => [
      role,
      column === undefined ? undefined : saidIn(row, column),
    ]);
    const given = {
      ...Object.fromEntries(cells),
      label: label === undefined ? undefined : row.cells.get(label),
      split: split === undefined ? undefined : cellSplit(row, split),
    };
    return checkedPreference(given, row.place);
  });
}

/** A text as it is, blanks included; lists of messages may be JSON in a text. */
function saidIn(row: Row, column: string): unknown {
  const cell = row.cells.get(column);
  return typeof cell === 'string' && cell.trimStart().startsWith('[{') ? cellList(row, column) : cell;
}
