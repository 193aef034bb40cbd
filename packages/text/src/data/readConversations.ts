/** @file Training data of a language model: conversations, prompts with completions, or texts; their types and reader. */

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
import { columnsOf, readSaid, tableReader } from './tableReader.ts';
import { textTasksOf } from './textColumns.ts';

/** A text, of which what follows the prompt is learned; all of it where the prompt is empty. */
export interface PromptedText {
  /** What is read. */
  readonly prompt: string;
  /** What follows. */
  readonly completion: string;
}

/** A conversation or a text of the data. */
export type ConversationRecord = (Conversation | PromptedText) & {
  /** The split it is meant for, where the data says so. */
  readonly split?: Split;
  /** Where it is, for messages: `train.jsonl, line 12`. */
  readonly where: string;
};

/** The data of a task, in parts; `train` is empty where they are for evaluation alone. */
export interface ConversationData extends ReadData<ConversationRecord> {
  /** Warnings for the user. */
  readonly warnings: readonly string[];
}

/**
 * A record of the user's own: `messages`, perhaps with `tools`; `prompt` and `completion`, two texts or two lists of messages; or
 * `text`.
 */
export interface GivenConversation {
  /** In OpenAI's form or ShareGPT's. */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** JSON schemas of functions that may be called. */
  readonly tools?: readonly unknown[] | undefined;
  /** What is read, and not learned. */
  readonly prompt?: string | readonly ChatMessage[] | undefined;
  /** What follows the prompt. */
  readonly completion?: string | readonly ChatMessage[] | undefined;
  /** A text, all of which is learned. */
  readonly text?: string | undefined;
  /** The split it is meant for. */
  readonly split?: Split | undefined;
  /** What it is called in messages; its number by default. */
  readonly where?: string | undefined;
}

/** Where conversations come from: a path, what `readConversations` gave, or records of the user's own. */
export type ConversationSource =
  string | ConversationData | AsyncIterable<GivenConversation> | readonly GivenConversation[];

/** Columns of a file whose names do not say what they hold. */
export interface ConversationColumns {
  /** Lists of messages. */
  readonly messages?: string;
  /** What is read, and not learned. */
  readonly prompt?: string;
  /** What follows. */
  readonly completion?: string;
  /** Texts, all of which is learned. */
  readonly text?: string;
  /** JSON schemas of functions that may be called. */
  readonly tools?: string;
  /** `train`, `validation` or `test`. */
  readonly split?: string;
}

/** Options of `readConversations`. */
export interface ConversationDataOptions extends DivideOptions<ConversationRecord> {
  /** Columns of a file whose names do not say what they hold. */
  readonly columns?: ConversationColumns | undefined;
}

/** Who speaks, by the names that data have for them: OpenAI's, and those of ShareGPT. */
const speakers: ReadonlyMap<unknown, string> = new Map([
  ...['system', 'developer', 'user', 'assistant', 'tool', 'function', 'ipython'].map((name) => [name, name] as const),
  ...['human', 'prompter'].map((name) => [name, 'user'] as const),
  ...['gpt', 'chatgpt', 'bot', 'model', 'bard', 'bing', 'ai'].map((name) => [name, 'assistant'] as const),
  ...['observation', 'function_response', 'tool_response'].map((name) => [name, 'tool'] as const),
]);

/**
 * Messages of OpenAI's form, `{ role, content }`, or of ShareGPT's, `{ from, value }`. Arguments of calls that are JSON in a text are
 * read, as templates want them.
 * @throws OnnxLoraError `DATA_INVALID` for what is no list of messages
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
    // Some models are taught calls that are no JSON.
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
 * The record of what a file or a program gives. Of a prompt and a completion that are messages, those of the completion are learned.
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

/** What the columns of files may hold, by their usual names. */
export const conversationColumns: ColumnRoles<keyof ConversationColumns> = {
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
 * @example
 * const data = await readConversations('answers.jsonl', { validation: 0.1 });
 * console.log(data.train.length, data.validation?.length);
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

/** Identity of a record. */
export function conversationKey(record: ConversationRecord): string {
  return JSON.stringify('messages' in record ? [record.messages, record.tools] : [record.prompt, record.completion]);
}

/** The first question, or the whole of a text. */
function questionOf(record: ConversationRecord): string {
  if (!('messages' in record)) return record.prompt === '' ? record.completion : record.prompt;
  const first = record.messages.find(({ role }) => role === 'user');
  return JSON.stringify(first?.['content'] ?? record.messages);
}

/** The cells of a row by what they hold. */
export function conversationCells(
  row: Row,
  columns: ConversationColumns,
): { readonly [Role in keyof ConversationColumns]?: unknown } {
  const cells = Object.entries(columns).map(([role, column]) => [role, column && cellOf(row, role, column)]);
  return Object.fromEntries(cells) as { readonly [Role in keyof ConversationColumns]?: unknown };
}

/** The records of a file. */
async function tableRecords(
  file: string,
  { columns: names, unused }: ConversationDataOptions,
): Promise<ConversationRecord[]> {
  const table = await readSaid(file);
  const { columns, finder } = columnsOf(table, conversationColumns, names);
  const { messages, prompt, completion, text, split } = columns;
  const shown = { isData: () => false, header: 'prompt,completion' };
  if (prompt !== undefined && completion === undefined && messages === undefined)
    throw finder.missing('completion', { what: 'what follows the prompt', ...shown });
  if (messages === undefined && prompt === undefined && text === undefined)
    throw finder.missing('messages', { what: 'the conversation, or a prompt and its completion, or a text', ...shown });
  // What stands beside conversations describes them; beside texts it may be what is to be learned.
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

/** A cell as it is, blanks included; lists of messages and tools may be JSON in a text. */
function cellOf(row: Row, role: string, column: string): unknown {
  return role === 'messages' || role === 'tools' ? cellList(row, column) : (row.cells.get(column) ?? undefined);
}
