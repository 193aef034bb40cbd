/** @file Reads what a language model is taught from tables and folders, and divides it into splits. */

import { stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { listed } from '@onnx-lora/sdk/tasks';
import {
  cellList,
  cellSplit,
  ColumnFinder,
  type ColumnRoles,
  columnSettings,
  type DataReader,
  evalSplitSetting,
  givenRecords,
  manifestEndings,
  readData,
  readFolder,
  readSplits,
  readTable,
  recordsBySplit,
  requireRecords,
  type Row,
  sharedBetweenSplits,
  sharedWarning,
  type Split,
  splitManifests,
  splitRecords,
  type Table,
} from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import {
  checkedConversation,
  type ConversationColumns,
  type ConversationData,
  type ConversationDataOptions,
  type ConversationRecord,
  type ConversationSource,
} from './conversationRecord.ts';

/** What the columns of files may hold, by their usual names. */
const conversationColumns: ColumnRoles<keyof ConversationColumns> = {
  messages: {
    setting: 'messagesColumn',
    description: 'Column with lists of messages.',
    usual: ['messages', 'conversations', 'conversation'],
  },
  prompt: { setting: 'promptColumn', description: 'Column with what is read, and not learned.', usual: ['prompt'] },
  completion: {
    setting: 'completionColumn',
    description: 'Column with what follows the prompt.',
    usual: ['completion', 'response'],
  },
  text: { setting: 'textColumn', description: 'Column with texts, all of which is learned.', usual: ['text'] },
  tools: {
    setting: 'toolsColumn',
    description: 'Column with JSON schemas of functions that may be called.',
    usual: ['tools'],
  },
  split: { setting: 'splitColumn', description: 'Column with train, validation or test.', usual: ['split'] },
};

/** What the command line may say of how conversations are read. */
export const conversationSettings: SettingRows<ConversationDataOptions> = {
  columns: columnSettings<ConversationColumns>(conversationColumns),
  evalSplit: evalSplitSetting,
};

/**
 * Reads data. A path may be a file (JSONL, JSON, CSV, TSV) whose rows have `messages` as OpenAI or `conversations` as ShareGPT
 * writes them, `prompt` and `completion`, or `text`; or a folder with one, or with one for each split. Records of the user's own
 * are checked, and what this function gave is taken as it is. Of a fraction that is held out, conversations that begin with the same
 * question stay together.
 *
 * @example
 * const data = await readConversations('answers.jsonl', { validation: 0.1 });
 * console.log(data.train.length, data.validation?.length);
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the file, the line and the remedy
 */
export function readConversations(
  source: ConversationSource,
  options: ConversationDataOptions = {},
): Promise<ConversationData> {
  return readData(conversations, source, options);
}

const conversations: DataReader<ConversationRecord, ConversationData, ConversationSource, ConversationDataOptions> = {
  noun: 'conversations',
  remedy: 'add different questions',
  read: async (source, options) => {
    if (typeof source === 'object' && 'train' in source) return source;
    const records = await (typeof source === 'string'
      ? readTables(source, 'conversations', (file) => tableRecords(file, options))
      : givenRecords(source, (each, number) => checkedConversation(each, each.where ?? `record ${number}`)));
    requireRecords(records, source, 'conversations');
    return { ...recordsBySplit(records), warnings: [] };
  },
  holdOut: ({ train }, fraction, { seed = 0 }) => ({
    ...splitRecords(train, fraction, seed, (record) => ({ key: conversationKey(record), file: questionOf(record) })),
    whole: 'conversations that begin with the same question stay together',
  }),
  shared: (parts) => {
    const found = sharedBetweenSplits(parts, conversationKey);
    return Promise.resolve(sharedWarning(found, 'conversations are', ([[a], [b]]) => `${a!.where} and ${b!.where}`));
  },
};

/** What tells a record from others, wherever it stands. */
export function conversationKey(record: ConversationRecord): string {
  return JSON.stringify('messages' in record ? [record.messages, record.tools] : [record.prompt, record.completion]);
}

/** What is asked first, or the whole of a text. */
function questionOf(record: ConversationRecord): string {
  if (!('messages' in record)) return record.prompt === '' ? record.completion : record.prompt;
  const first = record.messages.find(({ role }) => role === 'user');
  return JSON.stringify(first?.['content'] ?? record.messages);
}

/**
 * The records of a file, or of a folder with one, or with one for each split.
 *
 * @param noun what records are, for messages: `conversations`
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` for a path without such a file
 */
export async function readTables<Item extends { readonly split?: Split }>(
  path: string,
  noun: string,
  read: (file: string) => Promise<Item[]>,
): Promise<readonly Item[]> {
  const isTable = (name: string): boolean => manifestEndings.includes(extname(name).toLowerCase());
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) {
    if (isTable(path)) return read(path);
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${path}" is no data that can be read: it should end in ${manifestEndings.join(', ')}. Write one of the ${noun} on each line of a file that ends in .jsonl.`,
    );
  }
  const entries = await readFolder(path);
  const divided = await readSplits(splitManifests(entries), (name) => read(join(path, name)));
  if (divided) return divided;
  const tables = entries.files.filter(isTable);
  if (tables.length === 1) return read(join(path, tables[0]!));
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${path}" should have one file of ${noun} (${manifestEndings.join(', ')}), or train.jsonl, validation.jsonl and test.jsonl, but ${tables.length === 0 ? 'has none' : `has ${listed(tables)}`}. Name a file, or rename them.`,
  );
}

/** What the columns of a table hold, and what hands out others. */
export function findConversationColumns(
  table: Table,
  names: ConversationColumns | undefined,
): {
  readonly columns: ReadonlyMap<keyof ConversationColumns, string | undefined>;
  readonly finder: ColumnFinder<keyof ConversationColumns>;
} {
  const finder = new ColumnFinder(table, conversationColumns, names);
  const roles = Object.keys(conversationColumns) as (keyof ConversationColumns)[];
  return { columns: new Map(roles.map((role) => [role, finder.one(role)])), finder };
}

/** The cells of a row by what they hold. */
export function conversationCells(
  row: Row,
  columns: ReadonlyMap<keyof ConversationColumns, string | undefined>,
): { readonly [Role in keyof ConversationColumns]?: unknown } {
  const cells = [...columns].map(([role, column]) => [role, column === undefined ? undefined : cellOf(row, role, column)]); // prettier-ignore
  return Object.fromEntries(cells) as { readonly [Role in keyof ConversationColumns]?: unknown };
}

/** The records of a file. */
async function tableRecords(file: string, { columns: names }: ConversationDataOptions): Promise<ConversationRecord[]> {
  const table = await readTable(file);
  const { columns, finder } = findConversationColumns(table, names);
  const shown = { isData: () => false, header: 'prompt,completion' };
  if (columns.get('prompt') !== undefined && columns.get('completion') === undefined && !columns.get('messages'))
    throw finder.missing('completion', { what: 'what follows the prompt', ...shown });
  if (!['messages', 'prompt', 'text'].some((role) => columns.get(role as 'text') !== undefined))
    throw finder.missing('messages', { what: 'the conversation, or a prompt and its completion, or a text', ...shown });
  return table.rows.map((row) => {
    const split = columns.get('split');
    return checkedConversation(
      { ...conversationCells(row, columns), split: split === undefined ? undefined : cellSplit(row, split) },
      row.place,
    );
  });
}

/** A cell as it is, blanks included; lists of messages and tools may be JSON in a text. */
function cellOf(row: Row, role: keyof ConversationColumns, column: string): unknown {
  return role === 'messages' || role === 'tools' ? cellList(row, column) : (row.cells.get(column) ?? undefined);
}
