/** @file Texts with a class per word, such as names or parts of speech: types, and a reader of tables and CoNLL. */

import { extname } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellList,
  cellError,
  cellText,
  type ColumnRoles,
  columnSettings,
  type DivideOptions,
  evalSplitSetting,
  type FolderEntries,
  locatedLines,
  readData,
  type Row,
  splitManifests,
} from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import {
  PARQUET,
  type PartLabel,
  type Parts,
  readAnyTable,
  type SequenceData,
  type SequenceRecord,
  splitOf,
} from '@onnx-lora/sequences';
import { columnsOf, readFileOrSplits, sequenceReader } from './tableReader.ts';

/** A text in words; `sequence` joins them with spaces. */
export interface TaggedText extends SequenceRecord {
  /** Start and end of each word in the text, in characters from 0. */
  readonly words: readonly (readonly [start: number, end: number])[];
  /** Class per word, null if unknown; absent if the text has none. */
  readonly tags?: readonly PartLabel[];
}

/** A text as a caller writes it. */
export interface GivenTaggedText extends Pick<SequenceRecord, 'group' | 'split'> {
  /** The words. */
  readonly tokens: readonly string[];
  /** Class per word, null if unknown. */
  readonly tags?: readonly (string | null)[];
  /** Its name; its number by default. */
  readonly id?: string;
  /** Its place, for messages. */
  readonly where?: string;
}

/** A path, the caller's own texts, or a result of `readTaggedTexts`. */
export type TaggedSource =
  string | readonly GivenTaggedText[] | AsyncIterable<GivenTaggedText> | SequenceData<TaggedText>;

/** Column names that differ from the usual ones. */
export interface TaggedColumns {
  /** Column with lists of words. */
  readonly tokens?: string | undefined;
  /** Column with lists of the words' classes. */
  readonly tags?: string | undefined;
  /** Column with `train`, `validation` or `test`. */
  readonly split?: string | undefined;
  /** Column with groups, which splits never divide. */
  readonly group?: string | undefined;
}

/** Options of `readTaggedTexts`. */
export interface TaggedOptions extends DivideOptions<TaggedText> {
  /** Column names that differ from the usual ones. */
  readonly columns?: TaggedColumns | undefined;
}

const columns: ColumnRoles<keyof TaggedColumns> = {
  tokens: { description: 'Column with the list of words.', usual: ['tokens', 'words'] },
  tags: {
    description: "Column with the list of the words' classes.",
    usual: ['tags', 'ner_tags', 'pos_tags', 'labels', 'ner', 'pos', 'upos', 'entities'],
  },
  split: { description: 'Column with train, validation or test.', usual: ['split', 'set'] },
  group: {
    description: 'Column with groups, which splits never divide, such as documents.',
    usual: ['group', 'document', 'doc_id', 'lemma'],
  },
};

/** Settings of the reader, for the command line. */
export const taggedSettings: SettingRows<TaggedOptions> = {
  columns: columnSettings<TaggedColumns>(columns),
  evalSplit: evalSplitSetting,
};

/** Words as predicted parts: a word's first token predicts its class, as in transformers' examples. */
export const words: Parts<TaggedText> = {
  noun: 'words',
  one: 'word',
  remedy: 'Give lists in the columns "tokens" and "tags", or a word and its class on each line (.conll).',
  labelsOf: ({ tags }) => tags,
  countOf: (record) => record.words.length,
  ofTokens: ({ sequence, words: own }, tokenizer) => {
    const { ids, starts, ends } = tokenizer.tokens(sequence);
    let next = 0;
    return ids.map((_, token) => {
      // A token may include the blank before its word.
      while (next < own.length && own[next]![1] <= starts[token]!) next++;
      const word = own[next];
      return word && ends[token]! > word[0] && starts[token]! <= word[0] ? next++ : undefined;
    });
  },
};

/** Joins words with spaces. */
function textOfWords(tokens: readonly string[]): Pick<TaggedText, 'sequence' | 'words'> {
  let at = 0;
  const own = tokens.map((token): [number, number] => {
    const start = at;
    at += token.length + 1;
    return [start, start + token.length];
  });
  return { sequence: tokens.join(' '), words: own };
}

/** Splits a text into runs of letters and digits, and single other characters. */
export function wordsOf(text: string): TaggedText['words'] {
  return [...text.matchAll(/[\p{L}\p{N}\p{M}]+(?:['’-][\p{L}\p{N}\p{M}]+)*|[^\s]/gu)].map(({ index, 0: word }) => [index, index + word.length]); // prettier-ignore
}

/**
 * Reads texts with a class per word. A path is a table (JSONL, JSON, CSV, TSV) with lists of words and classes; a CoNLL
 * file (`.conll`, `.conllu`, `.bio`, `.iob`), with a word per line, its class in the last column and an empty line
 * between texts; or a folder with such a file per split.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` with file, row, column and remedy
 */
export function readTaggedTexts(source: TaggedSource, options: TaggedOptions = {}): Promise<SequenceData<TaggedText>> {
  return readData(reader, source, options);
}

const reader = sequenceReader<TaggedText, GivenTaggedText, TaggedOptions>({
  noun: 'texts',
  remedy: 'choose what is not divided (columns.group)',
  path: (source, options) =>
    readFileOrSplits(source, splitsIn, (file) => readFile(file, options), 'train.jsonl or train.conll'),
  checked,
  plain: ({ sequence }) => sequence.toLowerCase(),
  groupOf: ({ group }) => group,
  whole: 'equal texts stay together',
});

const conllEndings: readonly string[] = ['.conll', '.conllu', '.bio', '.iob', '.iob2'];
const tables: readonly string[] = [PARQUET, '.jsonl', '.ndjson', '.json', '.csv', '.tsv'];

function splitsIn(entries: FolderEntries): ReturnType<typeof splitManifests> {
  return splitManifests(entries, [...conllEndings, ...tables]);
}

async function readFile(file: string, { columns: names, unused }: TaggedOptions): Promise<readonly TaggedText[]> {
  if (conllEndings.includes(extname(file).toLowerCase())) return readConll(file);
  const table = await readAnyTable(file);
  const { columns: found, finder } = columnsOf(table, columns, names);
  const { tokens, tags, split, group } = found;
  const words_ = { isData: () => false, header: 'tokens,tags' };
  if (tokens === undefined) throw finder.missing('tokens', { what: 'the list of words', ...words_ });
  if (tags === undefined) throw finder.missing('tags', { what: "the list of the words' classes", ...words_ });
  unused?.add(finder.rest);
  return table.rows.map((row, i): TaggedText => {
    const own = group === undefined ? undefined : cellText(row, group);
    return {
      id: String(i + 1),
      ...textOfWords(listOf(row, tokens).map((word) => textOf(row, tokens, word))),
      tags: listOf(row, tags).map((tag) => (tag === null || tag === '' ? null : textOf(row, tags, tag))),
      ...(own === undefined ? {} : { group: own }),
      ...splitOf(row, { split, otherSplits: [] }, undefined),
      where: row.place,
    };
  });
}

function listOf(row: Row, column: string): readonly unknown[] {
  const list = cellList(row, column) ?? [];
  return typeof list === 'string' ? list.split(/\s+/) : list;
}

function textOf(row: Row, column: string, value: unknown): string {
  if (typeof value === 'string' && value.trim() !== '') return value.trim();
  if (typeof value === 'number') return String(value);
  throw cellError(row, column, value, 'a list of words', 'Write ["a", "list"]');
}

async function readConll(file: string): Promise<readonly TaggedText[]> {
  const records: TaggedText[] = [];
  let [tokens, tags, where, last]: [string[], string[], string, number] = [[], [], '', -1];
  const end = (): void => {
    if (tokens.length > 0) records.push({ id: String(records.length + 1), ...textOfWords(tokens), tags, where });
    [tokens, tags] = [[], []];
  };
  for (const { text, place } of await locatedLines(file)) {
    // The reader skips empty lines, so a gap in the numbers marks one.
    const number = Number(/line (\d+)$/.exec(place)![1]);
    if (number > last + 1) end();
    last = number;
    if (text.startsWith('#') || text.startsWith('-DOCSTART-')) continue;
    const cells = text.split(/\t| +/);
    if (cells.length < 2) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `${place}: a line has a word and its class, and this one is "${text.slice(0, 60)}". Add the class, O for none.`,
      );
    }
    if (tokens.length === 0) where = place;
    tokens.push(cells[0]!);
    tags.push(cells.at(-1)!);
  }
  end();
  return records;
}

function checked({ tokens, tags, ...record }: Partial<GivenTaggedText>, number: number): TaggedText {
  const { id = String(number), where = `record ${number}` } = record;
  if (Array.isArray(tokens) && tokens.every((token) => typeof token === 'string'))
    return { ...record, id, where, ...textOfWords(tokens as string[]), ...(tags && { tags }) };
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: it has no "tokens". A record names words and classes: { tokens: ['to', 'Paris'], tags: ['O', 'B-LOC'] }.`,
  );
}
