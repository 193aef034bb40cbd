/** @file Records of texts, and the columns of their tables. */

import {
  type TaskSuggestion,
  cellList,
  cellError,
  cellText,
  ColumnFinder,
  type ColumnRoles,
  columnSettings,
  type DivideOptions,
  evalSplitSetting,
  type Row,
  type Table,
  tasksOfColumns,
} from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import {
  ColumnContents,
  type SequenceData,
  type SequenceRecord,
  splitColumns,
  splitOf,
  type TargetColumns,
  targetColumns,
  targetsOf,
  type TargetKind,
} from '@onnx-lora/sequences';

/** A text as a caller writes it. */
export interface GivenText extends Omit<SequenceRecord, 'id' | 'where' | 'sequence' | 'labels'> {
  /** The text. */
  readonly text: string;
  /** The class. */
  readonly label?: string;
  /** The labels; an empty list for a text without any. */
  readonly labels?: readonly string[];
  /** Its name; its number by default. */
  readonly id?: string;
  /** Its place, for messages. */
  readonly where?: string;
}

/** A path, the caller's own texts, or a result of `readTextData`. */
export type TextSource = string | readonly GivenText[] | AsyncIterable<GivenText> | SequenceData;

/** Column names that differ from the usual ones. */
export interface TextColumns {
  /** Column with texts, or the first text of each pair. */
  readonly text?: string | undefined;
  /** Column with the second text of each pair. */
  readonly second?: string | undefined;
  /** Columns with hard negatives of the second text, each a text or a list of them. */
  readonly negatives?: string | readonly string[] | undefined;
  /** Column with names of texts. */
  readonly id?: string | undefined;
  /** Column with one class per text. */
  readonly label?: string | undefined;
  /** Several labels per text: a column that lists them, or a column of 0 and 1 per label. */
  readonly labels?: string | readonly string[] | undefined;
  /** Columns with numbers to predict. */
  readonly values?: string | readonly string[] | undefined;
  /** Column with `train`, `validation` or `test`, or with numbers of folds. */
  readonly split?: string | undefined;
  /** Column with groups, which splits never divide, such as authors or conversations. */
  readonly group?: string | undefined;
}

/** Options of `readTextData`. */
export interface TextDataOptions extends DivideOptions<SequenceRecord> {
  /** Column names that differ from the usual ones. */
  readonly columns?: TextColumns | undefined;
  /** The fold for validation, where the split column numbers folds; 0 by default. */
  readonly fold?: number | undefined;
}

/** Columns by role with their usual names, among them those of GLUE and datasets on the hub. The first match counts. */
const textColumns: ColumnRoles<keyof TextColumns> = {
  text: {
    description: 'Column of a table with the text, or the first of each pair.',
    usual: [
      'text',
      'sentence',
      'text1',
      'text_1',
      'sentence1',
      'sentence_1',
      'premise',
      'question1',
      'question',
      'query',
      'content',
      'body',
      'message',
      'review',
      'review_body',
      'comment',
      'utterance',
      'document',
      'description',
      'abstract',
      'headline',
      'title',
    ],
  },
  second: {
    description: 'Column with the second text of each pair.',
    usual: [
      'second',
      'text2',
      'text_2',
      'text_pair',
      'sentence2',
      'sentence_2',
      'hypothesis',
      'question2',
      'passage',
      'document',
    ],
  },
  negatives: {
    description: 'Columns with texts that are like the second of a pair and wrong, each a text or a list.',
    usual: ['negative', 'negatives', 'hard_negative', 'hard_negatives'],
    isMany: true,
  },
  id: { description: 'Column with names of texts.', usual: ['id', 'idx', 'identifier', 'uuid', 'key'] }, // prettier-ignore
  label: {
    description: 'Column with the class.',
    usual: [
      'label',
      'class',
      'category',
      'section',
      'topic',
      'intent',
      'sentiment',
      'department',
      'queue',
      'emotion',
      'language',
      'lang',
    ],
  },
  labels: {
    description: 'Column that lists labels, or columns of 0 and 1 named after them.',
    usual: ['labels', 'tags', 'classes', 'topics', 'categories', 'keywords'],
    isMany: true,
  },
  values: {
    description: 'Columns with numbers to predict.',
    usual: ['value', 'score', 'rating', 'stars', 'similarity', 'relevance', 'target', 'y'],
    isMany: true,
  },
  split: {
    description: 'Column with train, validation or test, or numbers of folds.',
    usual: ['split', 'set', 'subset', 'partition'],
  },
  group: {
    description: 'Column with groups, which splits never divide, such as authors.',
    usual: ['group', 'group_id', 'author', 'user_id', 'thread_id'],
  },
};

/** Settings of the reader, for the command line. */
export const dataSettings: SettingRows<TextDataOptions> = {
  columns: columnSettings<TextColumns>(textColumns),
  evalSplit: evalSplitSetting,
  fold: {
    kind: 'number',
    whole: true,
    min: 0,
    description: 'Fold that is measured on, where columns.split numbers folds; 0 by default.',
  },
};

/** Suggests tasks that would learn the columns, by their usual names. */
export function textTasksOf(columns: readonly string[]): readonly TaskSuggestion[] {
  const tasks = { label: 'text-classification', labels: 'text-labelling', values: 'text-regression' };
  return tasksOfColumns(columns, textColumns, tasks);
}

/** The columns of a table of texts, by role. */
export interface FoundColumns extends TargetColumns {
  readonly text: string;
  readonly second?: string | undefined;
  readonly negatives?: readonly string[] | undefined;
  readonly unused: readonly string[];
}

/**
 * Finds the columns of a table: by the given names, the usual names, and their content.
 * @param wanted the target that every row needs
 * @throws OnnxLoraError `DATA_INVALID` for a given name that the table lacks, or a missing column
 */
export function findColumns(table: Table, names: TextColumns = {}, wanted?: TargetKind): FoundColumns {
  const finder = new ColumnFinder(table, textColumns, names);
  const contents = new ColumnContents(table);
  const isTold = (column: string): boolean => contents.textsOf(column).some((text) => /\S\s+\S/.test(text));
  const text = finder.one('text') ?? finder.lone(isTold);
  const second = finder.one('second');
  const negatives = second === undefined ? undefined : finder.many('negatives');
  const needs = wanted === undefined ? [] : [wanted];
  const targets = { ...splitColumns(finder, contents), ...targetColumns(finder, contents, needs) };
  const isData = (column: string): boolean => column.split(/\s+/).length > 3;
  if (text === undefined) throw finder.missing('text', { what: 'the text', isData, header: 'text,label' });
  const { label, labels, oneHot, values } = targets;
  const has = { label: label ?? labels, labels: labels ?? oneHot ?? label, values };
  if (wanted !== undefined && has[wanted] === undefined)
    throw finder.missing(wanted, { what: words[wanted], isData, header: 'text,label' });
  const learned = { label: [label ?? labels], labels: labels === undefined ? (oneHot ?? [label]) : [labels], values: values ?? [] }; // prettier-ignore
  const unread = [label, labels, ...(oneHot ?? []), ...(values ?? [])].filter((column) => column !== undefined && wanted !== undefined && !learned[wanted].includes(column)) as string[]; // prettier-ignore
  return { ...targets, text, second, negatives, unused: [...new Set([...unread, ...finder.rest])] };
}

const words: Readonly<Record<TargetKind, string>> = {
  label: 'the class',
  labels: 'labels',
  values: 'numbers to predict',
};

/**
 * Makes the record of a row.
 * @param number the row's number from 1, its name by default
 * @param wanted the required target; false reads no targets
 * @throws OnnxLoraError `DATA_INVALID` with row, column and remedy
 */
export function recordOf(
  row: Row,
  columns: FoundColumns,
  number: number,
  wanted: TargetKind | undefined | false,
  fold?: number,
): SequenceRecord {
  const text = (column: string): string => {
    const found = cellText(row, column);
    if (found !== undefined) return found;
    throw cellError(row, column, '', 'a text', 'Write it, or remove the row');
  };
  const { id, second, group, negatives } = columns;
  const own = group === undefined ? undefined : cellText(row, group);
  return {
    id: (id === undefined ? undefined : cellText(row, id)) ?? String(number),
    sequence: text(columns.text),
    ...(second === undefined ? {} : { second: text(second) }),
    ...(negatives === undefined || wanted === false ? {} : { negatives: negatives.flatMap((column) => textsOf(row, column)) }), // prettier-ignore
    ...(wanted === false ? {} : targetsOf(row, columns, wanted === undefined ? [] : [wanted])),
    ...(own === undefined ? {} : { group: own }),
    ...(wanted === false ? {} : splitOf(row, columns, fold)),
    where: row.place,
  };
}

function textsOf(row: Row, column: string): readonly string[] {
  const list = cellList(row, column) ?? [];
  if (typeof list === 'string') return [list];
  return list.map((each) => {
    if (typeof each === 'string' && each.trim() !== '') return each.trim();
    throw cellError(row, column, each, 'a text, or a list of texts', 'Write ["a", "list"]');
  });
}
