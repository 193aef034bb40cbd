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
import { columnsOf, readSaid, saidIn, tableReader } from './tableReader.ts';

/** A question of the data. */
export interface ChoiceRecord extends ChoiceQuestion {
  /** The split it is meant for, where the data says so. */
  readonly split?: Split;
  /** Where it is, for messages: `train.jsonl, line 12`. */
  readonly where: string;
}

/** The data of a task, in parts. */
export interface ChoiceData extends ReadData<ChoiceRecord> {
  /** Warnings for the user. */
  readonly warnings: readonly string[];
}

/** A record of the user's own. */
export interface GivenChoice extends Omit<ChoiceQuestion, 'answer'> {
  /** The right answer: its number from 0, its text, or its letter (`A` is the first). */
  readonly answer?: number | string | undefined;
  /** The split it is meant for. */
  readonly split?: Split | undefined;
  /** What it is called in messages; its number by default. */
  readonly where?: string | undefined;
}

/** Where questions come from: a path, what `readChoices` gave, or records of the user's own. */
export type ChoiceSource = string | ChoiceData | AsyncIterable<GivenChoice> | readonly GivenChoice[];

/** Columns of a file whose names do not say what they hold. */
export interface ChoiceColumns {
  /** What is asked. */
  readonly prompt?: string;
  /** Lists of answers. */
  readonly choices?: string;
  /** The right one. */
  readonly answer?: string;
  /** `train`, `validation` or `test`. */
  readonly split?: string;
}

/** Options of `readChoices`. */
export interface ChoiceDataOptions extends DivideOptions<ChoiceRecord> {
  /** Columns of a file whose names do not say what they hold. */
  readonly columns?: ChoiceColumns | undefined;
}

/** What the columns of files may hold, by their usual names: those of ARC, MMLU and HellaSwag among them. */
const choiceColumns: ColumnRoles<keyof ChoiceColumns> = {
  prompt: { description: 'Column with what is asked.', usual: ['prompt', 'question', 'query', 'ctx'] }, // prettier-ignore
  choices: { description: 'Column with lists of answers to choose from.', usual: ['choices', 'options', 'endings'] }, // prettier-ignore
  answer: {
    description: 'Column with the right answer: its number from 0, its text or its letter.',
    usual: ['answer', 'answerkey', 'label'],
  },
  split: { description: 'Column with train, validation or test.', usual: ['split'] },
};

/** What the command line may say of how questions are read. */
export const choiceSettings: SettingRows<ChoiceDataOptions> = {
  columns: columnSettings<ChoiceColumns>(choiceColumns),
  evalSplit: evalSplitSetting,
};

/**
 * Reads questions with answers to choose from. A path may be a file (JSONL, JSON, Parquet, CSV, TSV) whose rows have `question` (or
 * `prompt`, a text or a list of messages), `choices` (a list, in a CSV file as JSON) and `answer`; or a folder with one, or with one for
 * each split. Of a fraction that is held out, questions that ask the same stay together.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the file, the line and the remedy
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
 * The questions of a file.
 * @param isTaught whether all must have their right answer
 * @throws OnnxLoraError as {@link readChoices}
 */
export async function readChoiceFile(
  file: string,
  names: ChoiceColumns | undefined,
  isTaught = true,
  unused?: UnusedColumns,
): Promise<ChoiceRecord[]> {
  const table = await readSaid(file);
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
      prompt: saidIn(row, prompt),
      choices: isObject(listed) ? listed : cellList(row, choices),
      answer: answer === undefined ? undefined : row.cells.get(answer),
      split: split === undefined ? undefined : cellSplit(row, split),
    };
    return checkedChoice(given, row.place, isTaught);
  });
}

/** A record of the user's own, or of a file: ARC has lists of texts and of what each is called. */
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
  throw wrong(`its answer is ${JSON.stringify(answer) ?? 'missing'}, which is none of its ${choices.length} choices: neither their number from 0, nor their text or letter`); // prettier-ignore
}

/** The number of the right one, which may be none. */
function placeOf(answer: unknown, choices: readonly string[], names: readonly unknown[] | undefined): number {
  if (typeof answer !== 'string') return Number.isInteger(answer) ? (answer as number) : -1;
  const said = answer.trim();
  for (const list of [names ?? [], choices.map((choice) => choice.trim())]) if (list.includes(said)) return list.indexOf(said); // prettier-ignore
  if (/^\d+$/.test(said)) return Number(said);
  return /^[A-Z]$/i.test(said) ? said.toUpperCase().charCodeAt(0) - 65 : -1;
}
