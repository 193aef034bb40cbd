/** @file Preferences: chosen and rejected answers, or answers labelled good or bad; their types and reader. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellSplit,
  type ColumnRoles,
  columnSettings,
  type DivideOptions,
  evalSplitSetting,
  type JsonObject,
  type ReadData,
  readData,
  type Split,
} from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import type { ChatMessage } from '../chat/chatTemplate.ts';
import { checkedConversation, type ConversationRecord } from './readConversations.ts';
import { columnsOf, readSaid, saidIn, tableReader } from './tableReader.ts';

/** What is said: a text, or messages. */
export type Said = string | readonly ChatMessage[];

/** Answers to a prompt, all texts or all messages. */
export interface PreferenceRecord {
  /** What is answered. */
  readonly prompt: Said;
  /** The better answer and the worse, or one alone that is good or bad. */
  readonly answers: readonly [chosen: Said, rejected: Said] | readonly [answer: Said];
  /** Of one answer alone, whether it is good. */
  readonly isGood?: boolean;
  /** JSON schemas of functions that may be called. */
  readonly tools?: readonly unknown[];
  /** The split it is meant for, where the data says so. */
  readonly split?: Split;
  /** Where it is, for messages: `train.jsonl, line 12`. */
  readonly where: string;
}

/** The data of a task, in parts. */
export interface PreferenceData extends ReadData<PreferenceRecord> {
  /** Warnings for the user. */
  readonly warnings: readonly string[];
}

/** A record of the user's own, in one of TRL's forms. */
export interface GivenPreference {
  /** What is answered; without it, what both answers begin with. */
  readonly prompt?: Said | undefined;
  /** The better answer. */
  readonly chosen?: Said | undefined;
  /** The worse answer. */
  readonly rejected?: Said | undefined;
  /** An answer without another to compare it with. */
  readonly completion?: Said | undefined;
  /** Whether that is good. */
  readonly label?: boolean | undefined;
  /** JSON schemas of functions that may be called. */
  readonly tools?: readonly unknown[] | undefined;
  /** The split it is meant for. */
  readonly split?: Split | undefined;
  /** What it is called in messages; its number by default. */
  readonly where?: string | undefined;
}

/** Where preferences come from: a path, what `readPreferences` gave, or records of the user's own. */
export type PreferenceSource = string | PreferenceData | AsyncIterable<GivenPreference> | readonly GivenPreference[];

/** Columns of a file whose names do not say what they hold. */
export interface PreferenceColumns {
  /** What is answered. */
  readonly prompt?: string;
  /** The better answer. */
  readonly chosen?: string;
  /** The worse answer. */
  readonly rejected?: string;
  /** An answer without another to compare it with. */
  readonly completion?: string;
  /** Whether that is good. */
  readonly label?: string;
  /** JSON schemas of functions that may be called. */
  readonly tools?: string;
  /** `train`, `validation` or `test`. */
  readonly split?: string;
}

/** Options of `readPreferences`. */
export interface PreferenceDataOptions extends DivideOptions<PreferenceRecord> {
  /** Columns of a file whose names do not say what they hold. */
  readonly columns?: PreferenceColumns | undefined;
}

/** A conversation or text of which an answer to a record's prompt is learned. */
export function answered({ prompt, tools, where }: PreferenceRecord, completion: Said): ConversationRecord {
  return checkedConversation({ prompt, completion, ...(tools && { tools }) }, where);
}

/** Words that a label may be, beside true and false. */
const labels: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  ...[true, 1, '1', 'true', 'True'].map((label) => [label, true] as const),
  ...[false, 0, '0', 'false', 'False'].map((label) => [label, false] as const),
]);

/**
 * The record of what a file or a program gives. Where there is no prompt, it is what both answers begin with.
 * @throws OnnxLoraError `DATA_INVALID` for none of the forms
 */
function checkedPreference(given: GivenPreference | JsonObject, where: string): PreferenceRecord {
  const { prompt, chosen, rejected, completion, label, tools, split } = given as GivenPreference;
  const facts = { ...(tools != null && { tools }), ...(split !== undefined && { split }), where };
  const isPair = chosen != null && rejected != null;
  if (!isPair && (prompt == null || completion == null || label == null)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${where}: it has neither an answer that is chosen and one that is rejected, nor one with a label. Write {"prompt": "…", "chosen": "…", "rejected": "…"} or {"prompt": "…", "completion": "…", "label": true}.`,
    );
  }
  if (!isPair) {
    const isGood = labels.get(label);
    if (isGood === undefined) {
      throw new OnnxLoraError('DATA_INVALID', `${where}: the label says whether the completion is good, but it is ${JSON.stringify(label)}. Write true or false.`); // prettier-ignore
    }
    return checkedForms({ prompt: prompt!, answers: [completion!], isGood, ...facts });
  }
  if (prompt != null) return checkedForms({ prompt, answers: [chosen, rejected], ...facts });
  return checkedForms({ ...withoutPrompt(chosen, rejected), ...facts });
}

/** @throws OnnxLoraError `DATA_INVALID` for answers that are no answers, and two that are one */
function checkedForms(record: PreferenceRecord): PreferenceRecord {
  const { prompt, answers, where } = record;
  const asIs = answers.map((answer) => answered(record, answer));
  if (prompt.length === 0)
    throw new OnnxLoraError('DATA_INVALID', `${where}: the prompt is empty. Give what is answered, or let both answers begin with it.`); // prettier-ignore
  if (asIs.length === 2 && JSON.stringify(answers[0]) === JSON.stringify(answers[1]))
    throw new OnnxLoraError('DATA_INVALID', `${where}: the chosen answer is the rejected one. Leave the line out.`);
  return record;
}

/**
 * The common prefix of both, and the remainder of each. A space before the first different word belongs to the
 * remainder.
 */
function withoutPrompt(chosen: Said, rejected: Said): Pick<PreferenceRecord, 'prompt' | 'answers'> {
  const shortest = Math.min(chosen.length, rejected.length);
  const isSame = (i: number): boolean => JSON.stringify(chosen[i]) === JSON.stringify(rejected[i]);
  let length = 0;
  while (length < shortest && isSame(length)) length++;
  if (length > 0 && chosen[length - 1] === ' ') length--;
  return { prompt: chosen.slice(0, length), answers: [chosen.slice(length), rejected.slice(length)] };
}

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
 * @example
 * const data = await readPreferences('preferences.jsonl', { validation: 0.1 });
 * console.log(data.train.length, data.validation?.length);
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the file, the line and the remedy
 */
export function readPreferences(
  source: PreferenceSource,
  options: PreferenceDataOptions = {},
): Promise<PreferenceData> {
  return readData(preferences, source, options);
}

/** Identity of a record. */
export function preferenceKey({ prompt, answers, isGood, tools }: PreferenceRecord): string {
  return JSON.stringify([prompt, answers, isGood, tools]);
}

/** Identity of a prompt. */
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
  const { columns, finder } = columnsOf(table, preferenceColumns, names);
  const { split, label, ...said } = columns;
  const one = { isData: () => false, header: 'prompt,chosen,rejected' };
  const isPair = said.chosen !== undefined;
  if (isPair && said.rejected === undefined) throw finder.missing('rejected', { what: 'the worse answer', ...one });
  if (!isPair && said.completion === undefined) throw finder.missing('chosen', { what: 'the better answer', ...one });
  unused?.add(finder.rest);
  return table.rows.map((row) => {
    const given = {
      ...Object.fromEntries(Object.entries(said).map(([role, column]) => [role, saidIn(row, column)])),
      label: label === undefined ? undefined : row.cells.get(label),
      split: split === undefined ? undefined : cellSplit(row, split),
    };
    return checkedPreference(given, row.place);
  });
}
