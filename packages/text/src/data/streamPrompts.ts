/** @file Streams prompts for a language model. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Line } from '@onnx-lora/sdk/data';
import {
  checkedConversation,
  conversationCells,
  type ConversationColumns,
  type ConversationRecord,
  conversationColumns,
} from './readConversations.ts';
import { type OpenedTable, eachRow, openTexts } from './streamTexts.ts';
import { columnsOf, promptRow } from './tableReader.ts';

/** A prompt from a file or a stream. */
export interface StreamedPrompt {
  /** The cell of a column `id`, or the number from 1. */
  readonly id: string;
  readonly record: ConversationRecord;
  /** Bytes read so far, and in total. */
  readonly read: number;
  readonly total?: number;
}

export interface PromptOptions {
  readonly columns?: ConversationColumns | undefined;
  /** Whether a line of plain text is a user message instead of a text to complete. */
  readonly asks: boolean;
}

/**
 * Streams the prompts of a file, or of bytes such as standard input: rows of a table as for `readConversations`,
 * answers optional, or lines.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` with row and remedy
 */
export async function* streamPrompts(
  source: string | AsyncIterable<Uint8Array>,
  { columns, asks }: PromptOptions,
): AsyncGenerator<StreamedPrompt> {
  const { name, lines, table, read, total } = await openTexts(source);
  const records = table ? promptsOf(table, columns) : promptsOfLines(name, lines!, asks);
  for await (const record of records) yield { ...record, read: read(), ...(total === undefined ? {} : { total }) };
}

type Named = Pick<StreamedPrompt, 'id' | 'record'>;

async function* promptsOfLines(name: string, lines: AsyncIterable<Line>, asks: boolean): AsyncGenerator<Named> {
  for await (const { text, number } of lines) {
    const where = `${name}, line ${number}`;
    const record = asks ? { messages: [{ role: 'user', content: text }], where } : { prompt: text, completion: '', where }; // prettier-ignore
    yield { id: String(number), record };
  }
}

async function* promptsOf(table: OpenedTable, names: ConversationColumns | undefined): AsyncGenerator<Named> {
  try {
    const { columns } = columnsOf(table, conversationColumns, names);
    yield* eachRow(table, (row, number) => {
      const id = row.cells.get('id');
      const isNamed = typeof id === 'string' || typeof id === 'number';
      const cells = conversationCells(promptRow(table.file, row), columns);
      return { id: String(isNamed ? id : number), record: promptOf(cells, row.place) };
    });
  } finally {
    await table.rest.return();
  }
}

function promptOf(
  { messages, prompt, completion, text, tools }: ReturnType<typeof conversationCells>,
  where: string,
): ConversationRecord {
  if (messages != null) return checkedConversation({ messages, tools }, where);
  if (typeof prompt === 'string')
    return { prompt, completion: typeof completion === 'string' ? completion : '', where };
  if (prompt != null) return checkedConversation({ messages: prompt, tools }, where);
  if (typeof text === 'string') return { prompt: text, completion: '', where };
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: there is nothing to answer: neither messages, nor a prompt, nor a text. Write {"messages": [{"role": "user", "content": "…"}]} or {"prompt": "…"}.`,
  );
}
