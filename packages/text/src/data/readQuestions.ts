/** @file Questions about texts: types, and a reader of SQuAD's JSON and of tables. */

import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import {
  cellNumber,
  cellSplit,
  cellText,
  type ColumnRoles,
  columnSettings,
  type DivideOptions,
  evalSplitSetting,
  type FolderEntries,
  isObject,
  manifestEndings,
  readData,
  readText,
  type Row,
  type Split,
  splitInName,
  type Table,
  type UnusedColumns,
} from '@onnx-lora/sdk/data';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import { readAnyTable, type SequenceData, type SequenceRecord, type StreamedRecord } from '@onnx-lora/sequences';
import { streamTexts } from './streamTexts.ts';
import { columnsOf, readFileOrSplits, sequenceReader } from './tableReader.ts';

/** An answer that stands in a text. */
export interface TextAnswer {
  /** Its words. */
  readonly text: string;
  /** Where it begins in the text, counted as strings are indexed. */
  readonly start: number;
}

/** A question (`sequence`), and the text (`second`) that is asked. */
export interface QuestionRecord extends SequenceRecord {
  readonly second: string;
  /** Right answers; empty where the text has none; absent where unknown. */
  readonly answers?: readonly TextAnswer[];
}

/** A question as a user writes it. */
export interface GivenQuestion extends Pick<SequenceRecord, 'group' | 'split'> {
  /** What is asked. */
  readonly question: string;
  /** The text that is asked. */
  readonly context: string;
  /** Right answers, of which training takes the first; empty where the text has none. */
  readonly answers?: readonly TextAnswer[];
  /** What it is called; its number by default. */
  readonly id?: string;
  /** Where it is, for messages. */
  readonly where?: string;
}

/** A path, questions of the user's own, or data that was read before. */
export type QuestionSource =
  string | readonly GivenQuestion[] | AsyncIterable<GivenQuestion> | SequenceData<QuestionRecord>;

/** Which columns of a table hold what; usual names are found by themselves. */
export interface QuestionColumns {
  /** What is asked. */
  readonly question?: string | undefined;
  /** The text that is asked. */
  readonly context?: string | undefined;
  /** The words of the answer; empty where the text does not say. */
  readonly answer?: string | undefined;
  /** Where the answer begins in the text, in letters from 0. Without it the answer's first place in the text is taken. */
  readonly start?: string | undefined;
  /** What the question is called. */
  readonly id?: string | undefined;
  /** `train`, `validation` or `test`. */
  readonly split?: string | undefined;
  /** What is never divided between splits; by default the text that is asked. */
  readonly group?: string | undefined;
}

/** How questions are read and divided. */
export interface QuestionDataOptions extends DivideOptions<QuestionRecord> {
  /** Columns of a table whose names do not say what they hold. */
  readonly columns?: QuestionColumns | undefined;
}

const columns: ColumnRoles<keyof QuestionColumns> = {
  question: { description: 'Column with the question.', usual: ['question', 'query'] },
  context: {
    description: 'Column with the text that is asked.',
    usual: ['context', 'passage', 'text', 'document', 'paragraph'],
  },
  answer: {
    description: 'Column with the words of the answer, empty where the text does not say.',
    usual: ['answer', 'answers', 'answer_text'],
  },
  start: {
    description: 'Column with the place where the answer begins in the text, in letters from 0.',
    usual: ['start', 'answer_start'],
  },
  id: { description: 'Column with what questions are called.', usual: ['id', 'qid', 'question_id'] }, // prettier-ignore
  split: { description: 'Column with train, validation or test.', usual: ['split', 'set'] },
  group: {
    description: 'Column of what is never divided between splits; the text that is asked by default.',
    usual: ['group', 'title'],
  },
};

/** Settings by the options that they give. */
export const questionSettings: SettingRows<QuestionDataOptions> = {
  columns: columnSettings<QuestionColumns>(columns),
  evalSplit: evalSplitSetting,
};

/**
 * Reads questions about texts. A path may be SQuAD's JSON (v1 or v2), a table (CSV, TSV, JSONL, JSON) with `question`, `context`,
 * `answer` and `start`, or with `answers: { text, answer_start }` as the data sets of the hub have it, or a folder with such a file
 * for each split. Places of answers are checked.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming file, row, column and remedy
 */
export function readQuestions(
  source: QuestionSource,
  options: QuestionDataOptions = {},
): Promise<SequenceData<QuestionRecord>> {
  return readData(reader, source, options);
}

const reader = sequenceReader<QuestionRecord, GivenQuestion, QuestionDataOptions>({
  noun: 'questions',
  remedy: 'add questions about other texts',
  path: (source, options) =>
    readFileOrSplits(source, splitsIn, (file) => readQuestionFile(file, options), 'train.json and dev.json'),
  checked: checkedQuestion,
  plain: ({ sequence, second }) => `${sequence}\n${second}`.toLowerCase(),
  groupOf: ({ group, second }) => group ?? second,
  whole: 'questions about one text stay together',
});

function splitsIn({ files }: FolderEntries): (readonly [name: string, split: Split])[] {
  return files.flatMap((name) => {
    // SQuAD's files are called train-v2.0.json and dev-v2.0.json.
    const split = splitInName(name.replace(/-v\d+\.\d+(?=\.json$)/, ''));
    return manifestEndings.includes(extname(name).toLowerCase()) && split ? [[name, split] as const] : [];
  });
}

/** The questions of a file; with `hasAnswers` false their answers are not looked at. */
async function readQuestionFile(
  file: string,
  { columns: names, unused }: QuestionDataOptions,
  hasAnswers = true,
): Promise<readonly QuestionRecord[]> {
  const squad = await squadOf(file);
  if (squad) return squadRecords(file, squad);
  const table = await readAnyTable(file);
  return tableRecords(table, names, hasAnswers, unused);
}

/** What {@link squadOf} found: `data` of SQuAD's files. */
type Squad = readonly unknown[];

/** The articles of a file as SQuAD has them; undefined of any other. */
async function squadOf(file: string): Promise<Squad | undefined> {
  if (extname(file).toLowerCase() !== '.json') return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readText(file));
  } catch (error) {
    // It may have an object on each line.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  return isObject(parsed) && Array.isArray(parsed['data']) ? parsed['data'] : undefined;
}

function squadRecords(file: string, articles: Squad): readonly QuestionRecord[] {
  const records: QuestionRecord[] = [];
  const list = (value: unknown, where: string, name: string): readonly Readonly<Record<string, unknown>>[] => {
    if (Array.isArray(value) && value.every(isObject)) return value;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${where}: it has no list "${name}". SQuAD's files have data, paragraphs and qas.`,
    );
  };
  list(articles, file, 'data').forEach((article, a) => {
    list(article['paragraphs'], `${file}, data[${a}]`, 'paragraphs').forEach((paragraph, p) => {
      const place = `${file}, data[${a}].paragraphs[${p}]`;
      list(paragraph['qas'], place, 'qas').forEach((qa, q) => {
        const where = `${place}.qas[${q}]`;
        const answers = qa['answers'] === undefined ? undefined : list(qa['answers'], where, 'answers');
        const given = qa['is_impossible'] === true ? [] : answers;
        const { question, id } = qa;
        const { context } = paragraph;
        records.push(
          checkedQuestion(
            {
              ...({ question, context } as GivenQuestion),
              id: typeof id === 'string' ? id : String(records.length + 1),
              where,
              ...(typeof article['title'] === 'string' && { group: article['title'] }),
              ...(given && { answers: given.map((each) => placedAnswer(String(context), each['text'], each['answer_start'], where)) }), // prettier-ignore
            },
            records.length + 1,
          ),
        );
      });
    });
  });
  return records;
}

function tableRecords(
  table: Table,
  names: QuestionColumns | undefined,
  hasAnswers: boolean,
  unused?: UnusedColumns,
): QuestionRecord[] {
  const { columns: found, finder } = columnsOf(table, columns, names);
  const shown = { isData: () => false, header: 'question,context,answer,start' };
  if (found.question === undefined) throw finder.missing('question', { what: 'the question', ...shown });
  if (found.context === undefined) throw finder.missing('context', { what: 'the text that is asked', ...shown });
  if (hasAnswers && found.answer === undefined) throw finder.missing('answer', { what: 'the answer', ...shown });
  const { question, context, id, group, split } = found as Required<QuestionColumns>;
  unused?.add(finder.rest);
  return table.rows.map((row, i) => {
    const text = (column: string | undefined): string | undefined => (column === undefined ? undefined : cellText(row, column)); // prettier-ignore
    // Places are counted in the text as it is, blanks in front included.
    const whole = row.cells.get(context!);
    const asked = typeof whole === 'string' ? whole : '';
    return checkedQuestion(
      {
        question: text(question)!,
        context: asked,
        id: text(id) ?? String(i + 1),
        where: row.place,
        ...(hasAnswers && asked.trim() !== '' && { answers: answersOf(row, asked, found) }),
        ...(text(group) !== undefined && { group: text(group)! }),
        ...(split !== undefined && hasAnswers && { split: cellSplit(row, split) }),
      } as GivenQuestion,
      i + 1,
    );
  });
}

/** Answers in a cell: their words, a list of answers, or lists of words and of places. */
function answersOf(row: Row, context: string, { answer, start }: QuestionColumns): TextAnswer[] {
  const cell = row.cells.get(answer!);
  if (Array.isArray(cell) && cell.every(isObject)) {
    return cell.map(({ text, start: at, answer_start: place = at }) => placedAnswer(context, text, place, row.place));
  }
  if (isObject(cell)) {
    const texts = Array.isArray(cell['text']) ? cell['text'] : [cell['text']];
    const starts = [cell['answer_start']].flat();
    return texts.map((text, i) => placedAnswer(context, text, starts[i], row.place));
  }
  const text = cellText(row, answer!);
  if (text === undefined) return [];
  const hasPlace = start !== undefined && cellText(row, start) !== undefined;
  return [placedAnswer(context, text, hasPlace ? cellNumber(row, start!) : undefined, row.place)];
}

/**
 * An answer with its place as strings are indexed. Files count in code points, of which some take two places of a string.
 * @throws OnnxLoraError `DATA_INVALID` where the text does not have it there
 */
function placedAnswer(context: string, text: unknown, start: unknown, where: string): TextAnswer {
  if (typeof text === 'string' && text !== '') {
    if (start === undefined || start === null) {
      const at = context.indexOf(text);
      if (at >= 0) return { text, start: at };
    } else if (typeof start === 'number' && Number.isSafeInteger(start) && start >= 0) {
      if (context.startsWith(text, start)) return { text, start };
      const at = [...context].slice(0, start).join('').length;
      if (context.startsWith(text, at)) return { text, start: at };
    }
  }
  const at = typeof text === 'string' ? context.indexOf(text) : -1;
  const place = start === undefined || start === null ? '' : ` at ${JSON.stringify(start).slice(0, 20)}`;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: the text does not have the answer ${JSON.stringify(text)?.slice(0, 80) ?? 'undefined'}${place}. ${at >= 0 ? `It is at ${at}: correct the place, or leave it out.` : 'An answer stands in the text word for word; leave it empty where the text does not say.'}`,
  );
}

function checkedQuestion(given: Partial<GivenQuestion>, number: number): QuestionRecord {
  const { question, context, id = String(number), answers, ...record } = given;
  const where = record.where ?? `record ${number}`;
  if (typeof question !== 'string' || question.trim() === '' || typeof context !== 'string' || context.trim() === '') {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${where}: it has no ${typeof question === 'string' && question.trim() !== '' ? 'text that is asked' : 'question'}. A record has both: { question: 'Who wrote it?', context: 'Ada wrote it.', answers: [{ text: 'Ada', start: 0 }] }.`,
    );
  }
  return {
    ...record,
    id,
    where,
    sequence: question,
    second: context,
    ...(answers && { answers: answers.map(({ text, start }) => placedAnswer(context, text, start, where)) }),
  };
}

/**
 * The questions of a file, or of bytes such as those of standard input, in their order; of tables no more than a few are in memory at a
 * time. Answers are not read.
 * @throws OnnxLoraError as {@link readQuestions}
 */
export async function* streamQuestions(
  source: string | AsyncIterable<Uint8Array>,
  options: Pick<QuestionDataOptions, 'columns'> = {},
): AsyncGenerator<StreamedRecord<QuestionRecord>> {
  if (typeof source === 'string' && extname(source).toLowerCase() === '.json') {
    const records = await readQuestionFile(source, options, false);
    const { size } = await stat(source);
    for (const record of records) yield { record, read: size, total: size };
    return;
  }
  const { question = 'question', context = 'context', id } = options.columns ?? {};
  const columns = { text: question, second: context, ...(id !== undefined && { id }) };
  // Both columns are there, or it has thrown.
  for await (const { record, ...read } of streamTexts(source, { columns }))
    yield { ...read, record: { ...record, second: record.second! } };
}
