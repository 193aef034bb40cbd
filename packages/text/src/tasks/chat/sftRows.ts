/** @file Rows of supervised fine-tuning: tokens that fit the model, and a dataset of them. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Dataset } from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer, TokenRow } from '@onnx-lora/sequences';
import type { ChatTemplate } from '../../chat/chatTemplate.ts';
import { chatTokens, type LearnedTokens, plainTokens, type SftTokens } from '../../chat/sftTokens.ts';
import { conversationKey, type ConversationRecord } from '../../data/readConversations.ts';

/** The label of tokens that are not learned: torch's `ignore_index`. */
export const NOT_LEARNED = -100;

/** A conversation, or a part of a text, as the model's input. */
export interface SftRow extends TokenRow {
  /** Per token, the id of the next one if that is learned, else −100. */
  readonly labels: readonly number[];
  /** UTF-8 bytes of the learned text. */
  readonly bytes: number;
  /** Tokens of each conversation in the row, in order. */
  readonly segments: readonly number[];
}

export interface SftRules {
  readonly tokenizer: SequenceTokenizer;
  /** The model's chat template, if it has one. */
  readonly template: ChatTemplate | undefined;
  readonly learned: LearnedTokens;
  /** The token that ends a text, if any. */
  readonly end: number | undefined;
  /** Maximum tokens of a row. */
  readonly most: number;
}

function tokensOf(record: ConversationRecord, { tokenizer, template, learned, end }: SftRules): SftTokens {
  const { where } = record;
  if (!('messages' in record)) {
    const { prompt, completion } = record;
    return learned === 'all'
      ? plainTokens(tokenizer, '', prompt + completion, end)
      : plainTokens(tokenizer, prompt, completion, end);
  }
  if (template) return chatTokens(record, { tokenizer, template, learned }, where);
  throw noTemplate(where);
}

/** The error for a conversation without a chat template. */
export function noTemplate(where: string): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    `${where} is a conversation, but the model has no chat template, so that nothing says how one is written. Put chat_template.jinja into its folder, from the model that it was made from or from one that you like, or give data with "prompt" and "completion".`,
  );
}

/** A row in memory; lists of numbers would take several times as much. */
export interface CompactRow {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
  readonly bytes: number;
}

/** Makes a row of some tokens. The first token and those after a gap lack their context, so they are not learned. */
function rowOf({ ids, isLearned, bytes }: SftTokens, places: readonly number[]): CompactRow {
  const learned = places.map((at, i) => places[i - 1] === at - 1 && isLearned[at]!);
  return {
    ids: Int32Array.from(places, (at) => ids[at]!),
    labels: Int32Array.from(places, (_, i) => (learned[i + 1] ? ids[places[i + 1]!]! : NOT_LEARNED)),
    bytes: places.reduce((sum, at, i) => sum + (learned[i] ? bytes[at]! : 0), 0),
  };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

/**
 * Crops a conversation to `most` tokens: drops the oldest, except for the first special token, but keeps the last
 * answer and a token before it; an answer that is still too long loses its end.
 */
function cropped({ ids, isLearned }: SftTokens, most: number, specialIds: ReadonlySet<number>): readonly number[] {
  const first = !isLearned[0] && specialIds.has(ids[0]!) ? 1 : 0;
  let answer = isLearned.lastIndexOf(true);
  while (answer > 0 && isLearned[answer - 1]) answer--;
  const gone = Math.max(0, Math.min(ids.length - most, answer - 1 - first));
  return [...range(0, first), ...range(first + gone, ids.length)].slice(0, most);
}

interface RowsOfRecord {
  readonly rows: readonly CompactRow[];
  readonly isCropped: boolean;
}

/** Splits a text into pieces that overlap by a token; crops a conversation. */
function rowsOf(record: ConversationRecord, rules: SftRules): RowsOfRecord {
  const tokens = tokensOf(record, rules);
  const { length } = tokens.ids;
  const { most } = rules;
  const isText = !('messages' in record) && (record.prompt === '' || rules.learned === 'all');
  const isCropped = !isText && length > most;
  const pieces = isCropped
    ? [cropped(tokens, most, rules.tokenizer.specialIds)]
    : range(0, Math.max(1, Math.ceil((length - 1) / (most - 1)))).map((i) =>
        range(i * (most - 1), Math.min(length, i * (most - 1) + most)),
      );
  const rows = pieces.map((places) => rowOf(tokens, places));
  return { rows: rows.filter(({ labels }) => labels.some((label) => label !== NOT_LEARNED)), isCropped };
}

/** The first row of a record, which has its answer; undefined if nothing of it is learned. */
export function singleRow(record: ConversationRecord, rules: SftRules): CompactRow | undefined {
  return rowsOf(record, rules).rows[0];
}

/** Unpacks a kept row. */
export function feedsOfRow({ ids: kept, labels, bytes }: CompactRow): SftRow {
  const ids = Array.from(kept);
  return {
    ids,
    labels: Array.from(labels),
    bytes,
    types: ids.map(() => 0),
    at: 0,
    count: ids.length,
    from: 0,
    segments: [ids.length],
  };
}

/** A row with the index of its record. */
export interface SftExample {
  /** Tokens and labels. */
  readonly row: SftRow;
  /** Index of the record. */
  readonly record: number;
  /** In training, the number of examples drawn before. */
  readonly draw?: number;
}

/** Rows of conversations and texts, the same in every epoch. */
export class SftDataset implements Dataset<SftExample> {
  readonly isDeterministic = true;
  readonly lengths: readonly number[];
  readonly warnings: readonly string[];
  readonly #rows: readonly CompactRow[];
  readonly #records: readonly ConversationRecord[];
  readonly #recordOf: readonly number[];

  /**
   * @throws OnnxLoraError `DATA_INVALID` if no record has learned tokens, and as the template; `CONFIG_INVALID` for a
   * conversation without a template
   */
  constructor(records: readonly ConversationRecord[], rules: SftRules) {
    const made = records.map((record) => rowsOf(record, rules));
    this.#records = records;
    this.#rows = made.flatMap(({ rows }) => rows);
    this.#recordOf = made.flatMap(({ rows }, i) => rows.map(() => i));
    this.lengths = this.#rows.map(({ ids }) => ids.length);
    const such = (isSuch: (made: RowsOfRecord) => boolean, what: string): string[] => {
      const count = made.filter(isSuch).length;
      return count === 0 ? [] : [`${count} of ${records.length} conversations ${what}, such as ${records[made.findIndex(isSuch)]!.where}.`]; // prettier-ignore
    };
    const without = such(({ rows }) => rows.length === 0, 'have nothing to be learned, and are left out');
    if (records.length > 0 && this.#rows.length === 0) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `There is nothing to learn: none of the ${records.length} conversations has an answer of the assistant, such as ${records[0]!.where}. Add what is to be said, or have every token learned (learn: 'all', or --set learn=all).`,
      );
    }
    const cut = such(({ isCropped }) => isCropped, `are longer than ${rules.most} tokens, and lose their beginning`);
    this.warnings = [...without, ...cut];
  }

  get length(): number {
    return this.#rows.length;
  }

  nameOf(index: number): string {
    return this.recordAt(index)?.where ?? String(index);
  }

  recordAt(index: number): ConversationRecord | undefined {
    return this.#records[this.#recordOf[index]!];
  }

  keyOf(index: number): Promise<string> {
    return Promise.resolve(conversationKey(this.recordAt(index)!));
  }

  get(index: number, draw?: number): Promise<SftExample> {
    const kept = this.#rows[index];
    if (!kept) throw new RangeError(`There is no example ${index}: the dataset has ${this.length}.`);
    const record = this.#recordOf[index]!;
    return Promise.resolve({ row: feedsOfRow(kept), record, ...(draw === undefined ? {} : { draw }) });
  }
}
