/** @file Multiple-choice questions: types, and a reader of tables and folders. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellList,
  cellSplit,
  type ColumnRoles,
  columnSettings,
  type DivideOptions,
  evalSplitSetting,
  isObject,
  type JsonObject,
  type ReadData,
  readData,
  type Split,
  type UnusedColumns,
} from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import type { ChoiceQuestion } from '../metrics/chooseAnswers.ts';
import { columnsOf, readPromptTable, textOrMessagesIn, tableReader } from './tableReader.ts';

/** A multiple-choice question of a dataset. */
export interface ChoiceRecord extends ChoiceQuestion {
  /** Its split, if the data name one. */
  readonly split?: Split;
  /** Its place, for messages: `train.jsonl, line 12`. */
  readonly where: string;
}

/** The splits of a multiple-choice dataset. */
export interface ChoiceData extends ReadData<ChoiceRecord> {
  /** Warnings for the user. */
  readonly warnings: readonly string[];
}

/** A multiple-choice question as a caller writes it. */
export interface GivenChoice extends Omit<ChoiceQuestion, 'answer'> {
  /** The right answer: its number from 0, its text, or its letter (`A` is the first). */
  readonly answer?: number | string | undefined;
  /** Its split. */
  readonly split?: Split | undefined;
  /** Its name in messages; its number by default. */
  readonly where?: string | undefined;
}

/** A path, a result of `readChoices`, or the caller's own records. */
export type ChoiceSource = string | ChoiceData | AsyncIterable<GivenChoice> | readonly GivenChoice[];

/** Column names that differ from the usual ones. */
export interface ChoiceColumns {
  /** Column with questions. */
  readonly prompt?: string;
  /** Column with lists of answers. */
  readonly choices?: string;
  /** Column with right answers. */
  readonly answer?: string;
  /** Column with `train`, `validation` or `test`. */
  readonly split?: string;
}

/** Options of `readChoices`. */
export interface ChoiceDataOptions extends DivideOptions<ChoiceRecord> {
  /** Column names that differ from the usual ones. */
  readonly columns?: ChoiceColumns | undefined;
}

/** Columns by role with their usual names, among them those of ARC, MMLU and HellaSwag. */
const choiceColumns: ColumnRoles<keyof ChoiceColumns> = {
  prompt: { description: 'Column with the questions.', usual: ['prompt', 'question', 'query', 'ctx'] }, // prettier-ignore
  choices: { description: 'Column with lists of answers to choose from.', usual: ['choices', 'options', 'endings'] }, // prettier-ignore
  answer: {
    description: 'Column with the right answer: its number from 0, its text or its letter.',
    usual: ['answer', 'answerkey', 'label'],
  },
  split: { description: 'Column with train, validation or test.', usual: ['split'] },
};

/** Settings of the reader, for the command line. */
export const choiceSettings: SettingRows<ChoiceDataOptions> = {
  columns: columnSettings<ChoiceColumns>(choiceColumns),
  evalSplit: evalSplitSetting,
};

/**
 * Reads multiple-choice questions. A path is a file (JSONL, JSON, Parquet, CSV, TSV) with the columns `question` (or
 * `prompt`, a text or a list of messages), `choices` (a list; JSON in a CSV file) and `answer`, or a folder with such a
 * file or one per split. A held-out fraction keeps questions with the same prompt together.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` with file, line and remedy
 */
export function readChoices(source: ChoiceSource, options: ChoiceDataOptions = {}): Promise<ChoiceData> {
  return readData(questions, source, options);
}

const questions = tableReader<ChoiceRecord, GivenChoice, ChoiceDataOptions>({
  noun: 'questions',
  remedy: 'add different questions',
  table: (file, { columns, unused }) => readChoiceFile(file, columns, true, unused),
  checked: (given, where) => checkedChoice(given, where, true),
  key: ({ prompt, choices, answer }) => JSON.stringify([prompt, choices, answer]),
  together: ({ prompt }) => JSON.stringify(prompt),
  whole: 'questions that ask the same stay together',
});

/**
 * Reads the questions of a file; with `isTaught` all need their right answer.
 * @throws OnnxLoraError as {@link readChoices}
 */
export async function readChoiceFile(
  file: string,
  names: ChoiceColumns | undefined,
  isTaught = true,
  unused?: UnusedColumns,
): Promise<ChoiceRecord[]> {
  const table = await readPromptTable(file);
  const { columns, finder } = columnsOf(table, choiceColumns, names);
  const one = { isData: () => false, header: 'question,choices,answer' };
  const { prompt, choices, answer, split } = columns;
  if (prompt === undefined) throw finder.missing('prompt', { what: 'the question', ...one });
  if (choices === undefined) throw finder.missing('choices', { what: 'the answers to choose from', ...one });
  if (isTaught && answer === undefined) throw finder.missing('answer', { what: 'the right answer', ...one });
  unused?.add(finder.rest);
  return table.rows.map((row) => {
    const listed = row.cells.get(choices);
    const given = {
      prompt: textOrMessagesIn(row, prompt),
      choices: isObject(listed) ? listed : cellList(row, choices),
      answer: answer === undefined ? undefined : row.cells.get(answer),
      split: split === undefined ? undefined : cellSplit(row, split),
    };
    return checkedChoice(given, row.place, isTaught);
  });
}

/** Checks a caller's record or a file's row, whose `choices` may be ARC's lists of texts and labels. */
function checkedChoice(given: GivenChoice | JsonObject, where: string, isTaught: boolean): ChoiceRecord {
  const { prompt, choices: all, answer, split } = given as JsonObject;
  const { text: texts, label: names } = isObject(all) ? all : { text: all, label: undefined };
  const wrong = (reason: string): OnnxLoraError =>
    new OnnxLoraError('DATA_INVALID', `${where}: ${reason}. Write {"question": "…", "choices": ["…", "…"], "answer": 0}.`); // prettier-ignore
  if ((typeof prompt !== 'string' && !Array.isArray(prompt)) || prompt.length === 0) throw wrong('it asks nothing');
  if (!Array.isArray(texts) || texts.length < 2 || !texts.every((each) => typeof each === 'string' && each.trim() !== '')) // prettier-ignore
    throw wrong(`its choices are ${(JSON.stringify(all) ?? 'missing').slice(0, 80)}, and should be a list of two texts or more`); // prettier-ignore
  const choices = texts as readonly string[];
  const facts = { prompt: prompt as ChoiceRecord['prompt'], choices, ...(split != null && { split: split as Split }), where }; // prettier-ignore
  if (answer == null && !isTaught) return facts;
  const right = placeOf(answer, choices, Array.isArray(names) ? names : undefined);
  if (right in choices) return { ...facts, answer: right };
  throw wrong(`its answer is ${JSON.stringify(answer) ?? 'missing'}, but its ${choices.length} choices have neither this number (from 0), nor this text or letter`); // prettier-ignore
}

/** Index of the right answer, out of range for an invalid one. */
function placeOf(answer: unknown, choices: readonly string[], names: readonly unknown[] | undefined): number {
  if (typeof answer !== 'string') return Number.isInteger(answer) ? (answer as number) : -1;
  const said = answer.trim();
  for (const list of [names ?? [], choices.map((choice) => choice.trim())]) if (list.includes(said)) return list.indexOf(said); // prettier-ignore
  if (/^\d+$/.test(said)) return Number(said);
  return /^[A-Z]$/i.test(said) ? said.toUpperCase().charCodeAt(0) - 65 : -1;
}
