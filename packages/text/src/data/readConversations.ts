/** @file Reads what a language model is taught from tables and folders, and divides it into splits. */

import {
  cellList,
  cellSplit,
  ColumnFinder,
  type ColumnRoles,
  columnSettings,
  evalSplitSetting,
  readData,
  type Row,
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
  type GivenConversation,
} from './conversationRecord.ts';
import { readSaid, tableReader } from './tableReader.ts';
import { textTasksOf } from './textColumns.ts';

/** What the columns of files may hold, by their usual names. */
const conversationColumns: ColumnRoles<keyof ConversationColumns> = {
  messages: {
    description: 'Column with lists of messages.',
    usual: ['messages', 'conversations', 'conversation'],
  },
  prompt: { description: 'Column with what is read, and not learned.', usual: ['prompt'] },
  completion: {
    description: 'Column with what follows the prompt.',
    usual: ['completion', 'response'],
  },
  text: { description: 'Column with texts, all of which is learned.', usual: ['text'] },
  tools: {
    description: 'Column with JSON schemas of functions that may be called.',
    usual: ['tools'],
  },
  split: { description: 'Column with train, validation or test.', usual: ['split'] },
};

/** What the command line may say of how conversations are read. */
export const conversationSettings: SettingRows<ConversationDataOptions> = {
  columns: columnSettings<ConversationColumns>(conversationColumns),
  evalSplit: evalSplitSetting,
};

/**
 * Reads data. A path may be a file (JSONL, JSON, Parquet, CSV, TSV) whose rows have `messages` as OpenAI or `conversations` as ShareGPT
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

const conversations = tableReader<ConversationRecord, GivenConversation, ConversationDataOptions>({
  noun: 'conversations',
  remedy: 'add different questions',
  table: tableRecords,
  checked: checkedConversation,
  key: conversationKey,
  together: questionOf,
  whole: 'conversations that begin with the same question stay together',
});

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
async function tableRecords(
  file: string,
  { columns: names, unused }: ConversationDataOptions,
): Promise<ConversationRecord[]> {
  const table = await readSaid(file);
  const { columns, finder } = findConversationColumns(table, names);
  const shown = { isData: () => false, header: 'prompt,completion' };
  if (columns.get('prompt') !== undefined && columns.get('completion') === undefined && !columns.get('messages'))
    throw finder.missing('completion', { what: 'what follows the prompt', ...shown });
  if (!['messages', 'prompt', 'text'].some((role) => columns.get(role as 'text') !== undefined))
    throw finder.missing('messages', { what: 'the conversation, or a prompt and its completion, or a text', ...shown });
  // What stands beside conversations describes them; beside texts it may be what is to be learned.
  const isText = columns.get('messages') === undefined && columns.get('prompt') === undefined;
  unused?.add(finder.rest, isText ? textTasksOf(finder.rest) : []);
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
