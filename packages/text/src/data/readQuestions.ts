/** @file Questions about texts: types, and a reader of SQuAD's JSON and of tables. */

import { extname, stat } from '@onnx-lora/sdk/platform';
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

/** An answer with its place in a text. */
export interface TextAnswer {
  /** The answer's words. */
  readonly text: string;
  /** String index of its first character. */
  readonly start: number;
}

/** A question (`sequence`) about a text (`second`). */
export interface QuestionRecord extends SequenceRecord {
  readonly second: string;
  /** Right answers; empty if the text has none, absent if unknown. */
  readonly answers?: readonly TextAnswer[];
}

/** A question as a caller writes it. */
export interface GivenQuestion extends Pick<SequenceRecord, 'group' | 'split'> {
  /** The question. */
  readonly question: string;
  /** The text that has the answer. */
  readonly context: string;
  /** Right answers; training uses the first. Empty if the text has none. */
  readonly answers?: readonly TextAnswer[];
  /** Its name; its number by default. */
  readonly id?: string;
  /** Its place, for messages. */
  readonly where?: string;
}

/** A path, the caller's own questions, or a result of `readQuestions`. */
export type QuestionSource =
  string | readonly GivenQuestion[] | AsyncIterable<GivenQuestion> | SequenceData<QuestionRecord>;

/** Column names that differ from the usual ones. */
export interface QuestionColumns {
  /** Column with questions. */
  readonly question?: string | undefined;
  /** Column with the texts. */
  readonly context?: string | undefined;
  /** Column with the answers' words; empty if the text has no answer. */
  readonly answer?: string | undefined;
  /** Column with the answers' places, in characters from 0; by default the words' first occurrence. */
  readonly start?: string | undefined;
  /** Column with names of questions. */
  readonly id?: string | undefined;
  /** Column with `train`, `validation` or `test`. */
  readonly split?: string | undefined;
  /** Column with groups, which splits never divide; the text by default. */
  readonly group?: string | undefined;
}

/** Options of `readQuestions`. */
export interface QuestionDataOptions extends DivideOptions<QuestionRecord> {
  /** Column names that differ from the usual ones. */
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
  id: { description: 'Column with names of questions.', usual: ['id', 'qid', 'question_id'] }, // prettier-ignore
  split: { description: 'Column with train, validation or test.', usual: ['split', 'set'] },
  group: {
    description: 'Column with groups, which splits never divide; the text by default.',
    usual: ['group', 'title'],
  },
};

/** Settings of the reader, for the command line. */
export const questionSettings: SettingRows<QuestionDataOptions> = {
  columns: columnSettings<QuestionColumns>(columns),
  evalSplit: evalSplitSetting,
};

/**
 * Reads questions about texts. A path is SQuAD's JSON (v1 or v2); a table (CSV, TSV, JSONL, JSON) with the columns
 * `question`, `context`, `answer` and `start`, or with `answers: { text, answer_start }` as datasets on the hub have;
 * or a folder with such a file per split. The places of answers are checked.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` with file, row, column and remedy
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
    // SQuAD's files are train-v2.0.json and dev-v2.0.json.
    const split = splitInName(name.replace(/-v\d+\.\d+(?=\.json$)/, ''));
    return manifestEndings.includes(extname(name).toLowerCase()) && split ? [[name, split] as const] : [];
  });
}

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

type Squad = readonly unknown[];

/** The articles of a SQuAD file; undefined for other files. */
async function squadOf(file: string): Promise<Squad | undefined> {
  if (extname(file).toLowerCase() !== '.json') return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readText(file));
  } catch (error) {
    // The file may be JSON Lines.
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
    // Places count characters of the untrimmed text.
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

/** Answers in a cell: words, a list of answers, or parallel lists of words and places. */
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
 * Converts an answer's place to a string index. Files may count in code points instead of UTF-16 units.
 * @throws OnnxLoraError `DATA_INVALID` if the text does not have the answer there
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
 * Streams the questions of a file, or of bytes such as standard input, without answers; only a few rows of a table are
 * in memory.
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
  // `streamTexts` throws if a column is missing.
  for await (const { record, ...read } of streamTexts(source, { columns }))
    yield { ...read, record: { ...record, second: record.second! } };
}
