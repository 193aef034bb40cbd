/** @file Cuts sequences longer than the model into windows. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import type { SequenceRecord } from '../record.ts';
import type { LengthOptions, TokenRow } from './sequenceTask.ts';

/** Tokens of a record, without special ones. */
export interface RecordTokens {
  readonly first: readonly number[];
  readonly second?: readonly number[];
}

/** Length limit of rows, and the treatment of longer ones. */
export interface RowRules extends Pick<LengthOptions, 'tooLong' | 'overlap'> {
  /** Tokenizer of the model. */
  readonly tokenizer: SequenceTokenizer;
  /** Most tokens of a row, special ones included. */
  readonly most: number;
  /** Whether answers lie in the second of a pair, as the domain says. */
  readonly readsSecond?: boolean | undefined;
}

/** Tokenizes a record. */
export function tokensOf(tokenizer: SequenceTokenizer, { sequence, second }: SequenceRecord): RecordTokens {
  const first = tokenizer.tokens(sequence).ids;
  return second === undefined ? { first } : { first, second: tokenizer.tokens(second).ids };
}

/** Starts of windows of `room` tokens, with `overlap` between neighbours; the last ends where the sequence ends. */
export function windowStarts(tokens: number, room: number, overlap: number): number[] {
  if (tokens <= room) return [0];
  const step = room - overlap;
  const starts: number[] = [];
  for (let from = 0; from + room < tokens; from += step) starts.push(from);
  return [...starts, tokens - room];
}

/**
 * The rows of a record: one, or several windows if it is too long and `tooLong` says so. Long pairs are cropped at
 * their ends, the longer sequence first, like transformers' `longest_first`. `start` places a crop, from 0 to `last`.
 * @throws OnnxLoraError `DATA_INVALID`, naming the record, if it is too long with `tooLong: error`; `CONFIG_INVALID`
 * for an overlap as long as a window
 */
export function tokenRows(
  tokens: RecordTokens,
  record: SequenceRecord,
  rules: RowRules,
  start: (last: number) => number = () => 0,
): readonly TokenRow[] {
  const { tokenizer, most, tooLong = 'crop', readsSecond = false } = rules;
  const { first, second } = tokens;
  const length = first.length + (second?.length ?? 0);
  const room = most - (second ? tokenizer.added.pair : tokenizer.added.single);
  if (length > room && (tooLong === 'error' || (second && !readsSecond && tooLong === 'windows'))) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      tooLong === 'error'
        ? `${record.where}: "${record.id}" has ${length} tokens, and the model reads ${room} at once. Have long sequences cropped (tooLong: crop) or read in windows (tooLong: windows), or leave it out.`
        : `${record.where}: the pair "${record.id}" has ${length} tokens, and the model reads ${room} at once. Pairs are not read in windows: have them cropped (tooLong: crop), or leave it out.`,
    );
  }
  if (second && readsSecond) return secondRows({ first, second }, room, rules);
  if (second) return [pairRow(tokenizer, first, second, room)];
  if (length > room && tooLong === 'windows') {
    const overlap = overlapOf(rules, room);
    return windowStarts(length, room, overlap).map((from) =>
      singleRow(tokenizer, first.slice(from, from + room), from),
    );
  }
  const from = length > room ? start(length - room) : 0;
  return [singleRow(tokenizer, first.slice(from, from + room), from)];
}

function overlapOf({ overlap }: RowRules, room: number): number {
  if (overlap === undefined) return Math.floor(room / 4);
  if (Number.isInteger(overlap) && overlap >= 0 && overlap < room) return overlap;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `Windows of ${room} tokens can share 0 to ${room - 1} of them, but the overlap is ${overlap}.`,
  );
}

function singleRow(tokenizer: SequenceTokenizer, ids: readonly number[], from: number): TokenRow {
  const framed = tokenizer.framed(ids);
  return { ids: framed.ids, types: framed.types, at: framed.firstAt, count: ids.length, from };
}

/** Windows over the second sequence, each after the first, which is cropped to half of the room. */
function secondRows({ first, second = [] }: RecordTokens, room: number, rules: RowRules): readonly TokenRow[] {
  const asked = first.slice(0, Math.floor(room / 2));
  const left = room - asked.length;
  const starts = rules.tooLong === 'windows' ? windowStarts(second.length, left, overlapOf(rules, left)) : [0];
  return starts.map((from) => {
    const ids = second.slice(from, from + left);
    const framed = rules.tokenizer.framed(asked, ids);
    return { ids: framed.ids, types: framed.types, at: framed.secondAt!, count: ids.length, from };
  });
}

function pairRow(
  tokenizer: SequenceTokenizer,
  first: readonly number[],
  second: readonly number[],
  room: number,
): TokenRow {
  const isWhole = first.length + second.length <= room;
  // If both are long, the first sequence keeps the larger half.
  const ofSecond = isWhole
    ? second.length
    : Math.min(second.length, Math.max(Math.floor(room / 2), room - first.length));
  const ids = first.slice(0, isWhole ? first.length : room - ofSecond);
  const framed = tokenizer.framed(ids, second.slice(0, ofSecond));
  return { ids: framed.ids, types: framed.types, at: framed.firstAt, count: ids.length, from: 0 };
}
