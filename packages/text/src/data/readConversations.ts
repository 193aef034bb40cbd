/** @file Training data of language models (conversations, prompts with completions, or texts): types and reader. */

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
  type Row,
  type Split,
} from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import type { ChatMessage, Conversation } from '../chat/chatTemplate.ts';
import { columnsOf, readPromptTable, tableReader } from './tableReader.ts';
import { textTasksOf } from './textColumns.ts';

/** A prompt and its completion, which is learned; an empty prompt has all of the text learned. */
export interface PromptedText {
  /** The text before the completion, not learned. */
  readonly prompt: string;
  /** The learned text. */
  readonly completion: string;
}

/** A conversation or a text of a dataset. */
export type ConversationRecord = (Conversation | PromptedText) & {
  /** Its split, if the data name one. */
  readonly split?: Split;
  /** Its place, for messages: `train.jsonl, line 12`. */
  readonly where: string;
};

/** The splits of a dataset; `train` is empty in data for evaluation alone. */
export interface ConversationData extends ReadData<ConversationRecord> {
  /** Warnings for the user. */
  readonly warnings: readonly string[];
}

/** A caller's record: `messages`, perhaps with `tools`; `prompt` and `completion`, texts or messages; or `text`. */
export interface GivenConversation {
  /** Messages in OpenAI's or ShareGPT's form. */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** JSON schemas of functions that the model may call. */
  readonly tools?: readonly unknown[] | undefined;
  /** The prompt, not learned. */
  readonly prompt?: string | readonly ChatMessage[] | undefined;
  /** The answer to the prompt. */
  readonly completion?: string | readonly ChatMessage[] | undefined;
  /** A text, learned as a whole. */
  readonly text?: string | undefined;
  /** Its split. */
  readonly split?: Split | undefined;
  /** Its name in messages; its number by default. */
  readonly where?: string | undefined;
}

/** A path, a result of `readConversations`, or the caller's own records. */
export type ConversationSource =
  string | ConversationData | AsyncIterable<GivenConversation> | readonly GivenConversation[];

/** Column names that differ from the usual ones. */
export interface ConversationColumns {
  /** Column with lists of messages. */
  readonly messages?: string;
  /** Column with prompts, not learned. */
  readonly prompt?: string;
  /** Column with completions. */
  readonly completion?: string;
  /** Column with texts, learned as a whole. */
  readonly text?: string;
  /** Column with JSON schemas of functions. */
  readonly tools?: string;
  /** Column with `train`, `validation` or `test`. */
  readonly split?: string;
}

/** Options of `readConversations`. */
export interface ConversationDataOptions extends DivideOptions<ConversationRecord> {
  /** Column names that differ from the usual ones. */
  readonly columns?: ConversationColumns | undefined;
}

/** Roles by their names in OpenAI's and ShareGPT's data. */
const speakers: ReadonlyMap<unknown, string> = new Map([
  ...['system', 'developer', 'user', 'assistant', 'tool', 'function', 'ipython'].map((name) => [name, name] as const),
  ...['human', 'prompter'].map((name) => [name, 'user'] as const),
  ...['gpt', 'chatgpt', 'bot', 'model', 'bard', 'bing', 'ai'].map((name) => [name, 'assistant'] as const),
  ...['observation', 'function_response', 'tool_response'].map((name) => [name, 'tool'] as const),
]);

/**
 * Checks messages in OpenAI's form, `{ role, content }`, or ShareGPT's, `{ from, value }`, and parses the JSON
 * arguments of calls, as templates expect.
 * @throws OnnxLoraError `DATA_INVALID` for invalid messages
 */
function checkedMessages(list: unknown, where: string): readonly ChatMessage[] {
  if (!Array.isArray(list) || list.length === 0) throw notMessages(where, `it is ${shown(list)}`);
  return list.map((given: unknown, i): ChatMessage => {
    const place = `message ${i + 1}`;
    if (!isObject(given)) throw notMessages(where, `${place} is ${shown(given)}`);
    const { from, value, ...message } = given;
    const role = message['role'] ?? from;
    const content = message['content'] ?? value;
    const name = speakers.get(role);
    if (name === undefined)
      throw notMessages(where, `${place} is of ${role === undefined ? 'nobody' : shown(role)}, and may be of ${[...speakers.keys()].join(', ')}`); // prettier-ignore
    const calls = message['tool_calls'];
    const isSaid = typeof content === 'string' || Array.isArray(content) || (content == null && Array.isArray(calls));
    if (!isSaid) throw notMessages(where, `${place} says ${shown(content)}`);
    return {
      ...message,
      role: name,
      ...(content != null && { content }),
      ...(Array.isArray(calls) && { tool_calls: calls.map(withArguments) }),
    };
  });
}

function withArguments(call: unknown): unknown {
  if (!isObject(call) || !isObject(call['function'])) return call;
  const given = call['function'];
  try {
    const parsed: unknown = typeof given['arguments'] === 'string' ? JSON.parse(given['arguments']) : undefined;
    return isObject(parsed) ? { ...call, function: { ...given, arguments: parsed } } : call;
  } catch {
    // Some models are taught calls other than JSON.
    return call;
  }
}

const shown = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 80);

function notMessages(where: string, reason: string): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${where}: a conversation is a list of messages, but ${reason}. Write {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}.`,
  );
}

/**
 * Makes a record of a file's row or a caller's record. With a prompt of messages, those of the completion are learned.
 * @throws OnnxLoraError `DATA_INVALID` for none of the forms
 */
export function checkedConversation(
  { messages, tools, prompt, completion, text, split }: GivenConversation | JsonObject,
  where: string,
): ConversationRecord {
  const found = { where, ...(split !== undefined && { split: split as Split }) };
  const offered = tools == null ? {} : { tools: checkedTools(tools, where) };
  if (messages != null) return { messages: checkedMessages(messages, where), ...offered, ...found };
  if (prompt != null && completion != null) {
    if (typeof prompt === 'string' && typeof completion === 'string') return { prompt, completion, ...found };
    const read = checkedMessages(prompt, where).map((message) => ({ ...message, weight: 0 }));
    return { messages: [...read, ...checkedMessages(completion, where)], ...offered, ...found };
  }
  if (typeof text === 'string') return { prompt: '', completion: text, ...found };
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: it has neither messages, nor a prompt with its completion, nor a text. Write {"messages": […]}, {"prompt": "…", "completion": "…"} or {"text": "…"}.`,
  );
}

function checkedTools(tools: unknown, where: string): readonly unknown[] {
  if (Array.isArray(tools)) return tools;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: tools are a list of JSON schemas, but they are ${shown(tools)}. Write [{"type": "function", "function": {"name": …}}], or leave them out.`,
  );
}

/** Columns by role with their usual names. */
export const conversationColumns: ColumnRoles<keyof ConversationColumns> = {
  messages: {
    description: 'Column with lists of messages.',
    usual: ['messages', 'conversations', 'conversation'],
  },
  prompt: { description: 'Column with prompts, not learned.', usual: ['prompt'] },
  completion: {
    description: 'Column with the answers to the prompts.',
    usual: ['completion', 'response'],
  },
  text: { description: 'Column with texts, learned as a whole.', usual: ['text'] },
  tools: {
    description: 'Column with JSON schemas of functions that may be called.',
    usual: ['tools'],
  },
  split: { description: 'Column with train, validation or test.', usual: ['split'] },
};

/** Settings of the reader, for the command line. */
export const conversationSettings: SettingRows<ConversationDataOptions> = {
  columns: columnSettings<ConversationColumns>(conversationColumns),
  evalSplit: evalSplitSetting,
};

/**
 * Reads training data of a language model. A path is a file (JSONL, JSON, Parquet, CSV, TSV) with the columns
 * `messages` (OpenAI) or `conversations` (ShareGPT), `prompt` and `completion`, or `text`; or a folder with such a file
 * or one per split. A caller's records are checked; a result of this function is returned as it is. A held-out fraction
 * keeps conversations with the same first question together.
 * @example
 * const data = await readConversations('answers.jsonl', { validation: 0.1 });
 * console.log(data.train.length, data.validation?.length);
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` with file, line and remedy
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

/** A string that is equal for equal records. */
export function conversationKey(record: ConversationRecord): string {
  return JSON.stringify('messages' in record ? [record.messages, record.tools] : [record.prompt, record.completion]);
}

/** The first question of a conversation, or the prompt of a text, or else all of it. */
function questionOf(record: ConversationRecord): string {
  if (!('messages' in record)) return record.prompt === '' ? record.completion : record.prompt;
  const first = record.messages.find(({ role }) => role === 'user');
  return JSON.stringify(first?.['content'] ?? record.messages);
}

/** The cells of a row by role. */
export function conversationCells(
  row: Row,
  columns: ConversationColumns,
): { readonly [Role in keyof ConversationColumns]?: unknown } {
  const cells = Object.entries(columns).map(([role, column]) => [role, column && cellOf(row, role, column)]);
  return Object.fromEntries(cells) as { readonly [Role in keyof ConversationColumns]?: unknown };
}

async function tableRecords(
  file: string,
  { columns: names, unused }: ConversationDataOptions,
): Promise<ConversationRecord[]> {
  const table = await readPromptTable(file);
  const { columns, finder } = columnsOf(table, conversationColumns, names);
  const { messages, prompt, completion, text, split } = columns;
  const shown = { isData: () => false, header: 'prompt,completion' };
  if (prompt !== undefined && completion === undefined && messages === undefined)
    throw finder.missing('completion', { what: 'what follows the prompt', ...shown });
  if (messages === undefined && prompt === undefined && text === undefined)
    throw finder.missing('messages', { what: 'the conversation, or a prompt and its completion, or a text', ...shown });
  // Columns besides conversations describe them; besides texts they may be labels, which another task would learn.
  const isText = messages === undefined && prompt === undefined;
  unused?.add(finder.rest, isText ? textTasksOf(finder.rest) : []);
  return table.rows.map((row) => {
    const given = {
      ...conversationCells(row, columns),
      split: split === undefined ? undefined : cellSplit(row, split),
    };
    return checkedConversation(given, row.place);
  });
}

/** A cell with its blanks; lists of messages and tools may be JSON text. */
function cellOf(row: Row, role: string, column: string): unknown {
  return role === 'messages' || role === 'tools' ? cellList(row, column) : (row.cells.get(column) ?? undefined);
}
