/** @file Reads questions about texts: SQuAD's JSON, and tables with a question, a text and an answer on each row. */

import { stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellNumber,
  cellSplit,
  cellText,
  ColumnFinder,
  type ColumnRoles,
  columnSettings,
  type DataReader,
  evalSplitSetting,
  givenRecords,
  isObject,
  manifestEndings,
  readData,
  readFolder,
  readSplits,
  readText,
  recordsBySplit,
  requireRecords,
  type Row,
  sharedBetweenSplits,
  sharedWarning,
  splitInName,
  splitRecords,
  type Table,
  type UnusedColumns,
} from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import { readAnyTable, type SequenceData, type StreamedRecord } from '@onnx-lora/sequences';
import type {
  GivenQuestion,
  QuestionColumns,
  QuestionDataOptions,
  QuestionRecord,
  QuestionSource,
  TextAnswer,
} from './questionRecord.ts';
import { streamTexts } from './streamTexts.ts';

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
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming file, row, column and remedy
 */
export function readQuestions(
  source: QuestionSource,
  options: QuestionDataOptions = {},
): Promise<SequenceData<QuestionRecord>> {
  return readData<QuestionRecord, SequenceData<QuestionRecord>, QuestionSource, QuestionDataOptions>(
    reader,
    source,
    options,
  );
}

const plain = ({ sequence, second }: QuestionRecord): string => `${sequence}\n${second}`.toLowerCase();

const reader: DataReader<QuestionRecord, SequenceData<QuestionRecord>, QuestionSource, QuestionDataOptions> = {
  noun: 'questions',
  remedy: 'add questions about other texts',
  read: async (source, options) => {
    if (typeof source === 'object' && 'train' in source) return source;
    const records =
      typeof source === 'string' ? await readPath(source, options) : await givenRecords(source, checkedQuestion);
    requireRecords(records, source, 'questions');
    return { ...recordsBySplit(records), warnings: [] };
  },
  holdOut: ({ train }, fraction, { seed = 0 }) => {
    const whole = 'questions about one text stay together';
    const split = splitRecords(train, fraction, seed, (record) => {
      return { key: plain(record), group: record.group ?? record.second };
    });
    return { ...split, whole, facts: { splitBy: whole } };
  },
  besides: (file) => ({ splitBy: `given as "${file}"` }),
  shared: async (parts) =>
    sharedWarning(sharedBetweenSplits(parts, plain), 'questions are', ([[first], [second]]) => `"${first!.where}" and "${second!.where}"`), // prettier-ignore
};

async function readPath(source: string, options: QuestionDataOptions): Promise<readonly QuestionRecord[]> {
  // What is no folder is opened as a file, which says what is wrong.
  const isFolder = await stat(source).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) return readQuestionFile(source, options);
  const { files } = await readFolder(source);
  const splits = files.flatMap((name) => {
    // SQuAD's files are called train-v2.0.json and dev-v2.0.json.
    const split = splitInName(name.replace(/-v\d+\.\d+(?=\.json$)/, ''));
    return manifestEndings.includes(extname(name).toLowerCase()) && split ? [[name, split] as const] : [];
  });
  const read = await readSplits(splits, (name) => readQuestionFile(join(source, name), options));
  if (read) return read;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${source}" has no file for a split, such as train.json and dev.json. Name the files so, or give one file.`,
  );
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
  const finder = new ColumnFinder(table, columns, names);
  const roles = Object.keys(columns) as (keyof QuestionColumns)[];
  const found = Object.fromEntries(roles.map((role) => [role, finder.one(role)])) as QuestionColumns;
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
 *
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
 *
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
