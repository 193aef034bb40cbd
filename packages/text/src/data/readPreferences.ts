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
import { columnsOf, readPromptTable, textOrMessagesIn, tableReader } from './tableReader.ts';

/** A text or messages. */
export type TextOrMessages = string | readonly ChatMessage[];

/** A prompt with two answers to compare, or one labelled answer; all texts or all messages. */
export interface PreferenceRecord {
  /** The prompt. */
  readonly prompt: TextOrMessages;
  /** The chosen and the rejected answer, or a single answer. */
  readonly answers: readonly [chosen: TextOrMessages, rejected: TextOrMessages] | readonly [answer: TextOrMessages];
  /** The label of a single answer. */
  readonly isGood?: boolean;
  /** JSON schemas of functions that the model may call. */
  readonly tools?: readonly unknown[];
  /** Its split, if the data name one. */
  readonly split?: Split;
  /** Its place, for messages: `train.jsonl, line 12`. */
  readonly where: string;
}

/** The splits of a preference dataset. */
export interface PreferenceData extends ReadData<PreferenceRecord> {
  /** Warnings for the user. */
  readonly warnings: readonly string[];
}

/** A caller's record, in one of TRL's forms. */
export interface GivenPreference {
  /** The prompt; by default the common prefix of both answers. */
  readonly prompt?: TextOrMessages | undefined;
  /** The better answer. */
  readonly chosen?: TextOrMessages | undefined;
  /** The worse answer. */
  readonly rejected?: TextOrMessages | undefined;
  /** A single answer, not compared with another. */
  readonly completion?: TextOrMessages | undefined;
  /** Whether the completion is good. */
  readonly label?: boolean | undefined;
  /** JSON schemas of functions that the model may call. */
  readonly tools?: readonly unknown[] | undefined;
  /** Its split. */
  readonly split?: Split | undefined;
  /** Its name in messages; its number by default. */
  readonly where?: string | undefined;
}

/** A path, a result of `readPreferences`, or the caller's own records. */
export type PreferenceSource = string | PreferenceData | AsyncIterable<GivenPreference> | readonly GivenPreference[];

/** Column names that differ from the usual ones. */
export interface PreferenceColumns {
  /** Column with prompts. */
  readonly prompt?: string;
  /** Column with the better answers. */
  readonly chosen?: string;
  /** Column with the worse answers. */
  readonly rejected?: string;
  /** Column with single answers. */
  readonly completion?: string;
  /** Column with the labels of single answers. */
  readonly label?: string;
  /** Column with JSON schemas of functions. */
  readonly tools?: string;
  /** Column with `train`, `validation` or `test`. */
  readonly split?: string;
}

/** Options of `readPreferences`. */
export interface PreferenceDataOptions extends DivideOptions<PreferenceRecord> {
  /** Column names that differ from the usual ones. */
  readonly columns?: PreferenceColumns | undefined;
}

/** The prompt with one of its answers, as a record for supervised fine-tuning. */
export function answered({ prompt, tools, where }: PreferenceRecord, completion: TextOrMessages): ConversationRecord {
  return checkedConversation({ prompt, completion, ...(tools && { tools }) }, where);
}

const labels: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  ...[true, 1, '1', 'true', 'True'].map((label) => [label, true] as const),
  ...[false, 0, '0', 'false', 'False'].map((label) => [label, false] as const),
]);

/**
 * Makes a record of a file's row or a caller's record. Without a prompt, the answers' common prefix is the prompt.
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

/** @throws OnnxLoraError `DATA_INVALID` for invalid answers, an empty prompt, or two equal answers */
function checkedForms(record: PreferenceRecord): PreferenceRecord {
  const { prompt, answers, where } = record;
  const asIs = answers.map((answer) => answered(record, answer));
  if (prompt.length === 0)
    throw new OnnxLoraError('DATA_INVALID', `${where}: the prompt is empty. Give what is answered, or let both answers begin with it.`); // prettier-ignore
  if (asIs.length === 2 && JSON.stringify(answers[0]) === JSON.stringify(answers[1]))
    throw new OnnxLoraError('DATA_INVALID', `${where}: the chosen answer is the rejected one. Leave the line out.`);
  return record;
}

/** Splits answers at the end of their common prefix; a space before the first different word stays with them. */
function withoutPrompt(chosen: TextOrMessages, rejected: TextOrMessages): Pick<PreferenceRecord, 'prompt' | 'answers'> {
  const shortest = Math.min(chosen.length, rejected.length);
  const isSame = (i: number): boolean => JSON.stringify(chosen[i]) === JSON.stringify(rejected[i]);
  let length = 0;
  while (length < shortest && isSame(length)) length++;
  if (length > 0 && chosen[length - 1] === ' ') length--;
  return { prompt: chosen.slice(0, length), answers: [chosen.slice(length), rejected.slice(length)] };
}

const preferenceColumns: ColumnRoles<keyof PreferenceColumns> = {
  prompt: { description: 'Column with the prompts.', usual: ['prompt'] },
  chosen: { description: 'Column with the better answer.', usual: ['chosen'] },
  rejected: { description: 'Column with the worse answer.', usual: ['rejected'] },
  completion: {
    description: 'Column with answers that are good or bad by themselves.',
    usual: ['completion', 'response'],
  },
  label: { description: 'Column with the labels of these answers, true or false.', usual: ['label'] },
  tools: { description: 'Column with JSON schemas of functions that may be called.', usual: ['tools'] }, // prettier-ignore
  split: { description: 'Column with train, validation or test.', usual: ['split'] },
};

/** Settings of the reader, for the command line. */
export const preferenceSettings: SettingRows<PreferenceDataOptions> = {
  columns: columnSettings<PreferenceColumns>(preferenceColumns),
  evalSplit: evalSplitSetting,
};

/**
 * Reads preferences in TRL's forms. A path is a file (JSONL, JSON, Parquet, CSV, TSV) with the columns `prompt`,
 * `chosen` and `rejected`, or `prompt`, `completion` and `label`, texts or lists of messages; or a folder with such a
 * file or one per split. A held-out fraction keeps answers to one prompt together.
 * @example
 * const data = await readPreferences('preferences.jsonl', { validation: 0.1 });
 * console.log(data.train.length, data.validation?.length);
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` with file, line and remedy
 */
export function readPreferences(
  source: PreferenceSource,
  options: PreferenceDataOptions = {},
): Promise<PreferenceData> {
  return readData(preferences, source, options);
}

/** A string that is equal for equal records. */
export function preferenceKey({ prompt, answers, isGood, tools }: PreferenceRecord): string {
  return JSON.stringify([prompt, answers, isGood, tools]);
}

/** A string that is equal for equal prompts. */
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
  const table = await readPromptTable(file);
  const { columns, finder } = columnsOf(table, preferenceColumns, names);
  const { split, label, ...said } = columns;
  const one = { isData: () => false, header: 'prompt,chosen,rejected' };
  const isPair = said.chosen !== undefined;
  if (isPair && said.rejected === undefined) throw finder.missing('rejected', { what: 'the worse answer', ...one });
  if (!isPair && said.completion === undefined) throw finder.missing('chosen', { what: 'the better answer', ...one });
  unused?.add(finder.rest);
  return table.rows.map((row) => {
    const given = {
      ...Object.fromEntries(Object.entries(said).map(([role, column]) => [role, textOrMessagesIn(row, column)])),
      label: label === undefined ? undefined : row.cells.get(label),
      split: split === undefined ? undefined : cellSplit(row, split),
    };
    return checkedPreference(given, row.place);
  });
}
