/** @file Decoder feeds: those of the tokens, and those fixed over all passes. */

import { type BoundFeeds, type Feeds, int64, tensor } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableSession } from '@onnx-lora/sdk/tasks';
import { selectRows } from './rows.ts';

/** Feeds that stay the same over all passes, except for the selection of rows. */
export class FixedFeeds {
  #feeds: Feeds;
  /** Original row of each row. */
  #rows: readonly number[];
  #bound: BoundFeeds | undefined;

  constructor(feeds: Feeds, rows: number) {
    this.#feeds = feeds;
    this.#rows = Array.from({ length: rows }, (_, i) => i);
  }

  get feeds(): Feeds {
    return this.#feeds;
  }

  replace(feeds: Feeds): void {
    this.release();
    this.#feeds = feeds;
  }

  select(rows: readonly number[]): void {
    const read = rows.map((row) => this.#rows[row]!);
    // Beams of a row read the same.
    if (read.length === this.#rows.length && read.every((row, i) => row === this.#rows[i])) return;
    this.replace(mapFeeds(this.#feeds, (tensor) => selectRows(tensor, rows)));
    this.#rows = read;
  }

  /** Feeds of a run: the tensors, or their handle in the session. */
  of(session: RunnableSession): { readonly feeds: Feeds; readonly bound?: readonly BoundFeeds[] } {
    if (Object.keys(this.#feeds).length > 0) this.#bound ??= session.bind(this.#feeds);
    return this.#bound ? { feeds: {}, bound: [this.#bound] } : { feeds: this.#feeds };
  }

  release(): void {
    this.#bound?.release();
    this.#bound = undefined;
  }
}

/** Maps each tensor. */
export function mapFeeds(feeds: Feeds, change: (tensor: Feeds[string]) => Feeds[string]): Feeds {
  return Object.fromEntries(Object.entries(feeds).map(([name, each]) => [name, change(each)]));
}

/** Input of merged decoders: false in the first pass, true later. */
const BRANCH = 'use_cache_branch';

/** Inputs besides the ids that `tokenFeeds` fills. */
export const tokenInputs: readonly string[] = ['attention_mask', 'position_ids', 'cache_position', BRANCH];

/** Tokens to append to each row. */
export interface AppendedTokens {
  readonly ids: string;
  readonly tokens: readonly (readonly number[])[];
  readonly before: number;
  /** Left padding per row. */
  readonly padding: readonly number[] | undefined;
}

/** Feeds of the ids and of the other inputs that the model has; the attention mask covers the past, too. */
export function tokenFeeds({ inputs }: RunnableModel, { ids, tokens, before, padding }: AppendedTokens): Feeds {
  const [rows, count] = [tokens.length, tokens[0]!.length];
  const all = before + count;
  const each = (length: number, value: (place: number, fill: number) => number): number[] =>
    tokens.flatMap((_, row) => Array.from({ length }, (__, place) => value(place, padding?.[row] ?? 0)));
  const feeds: Record<string, Feeds[string]> = { [ids]: int64(tokens.flat(), [rows, count]) };
  if ('attention_mask' in inputs)
    feeds['attention_mask'] = int64(each(all, (place, fill) => (place < fill ? 0 : 1)), [rows, all]); // prettier-ignore
  if ('position_ids' in inputs)
    feeds['position_ids'] = int64(each(count, (place, fill) => Math.max(0, before + place - fill)), [rows, count]); // prettier-ignore
  if ('cache_position' in inputs)
    feeds['cache_position'] = int64(Array.from({ length: count }, (_, place) => before + place), [count]); // prettier-ignore
  if (BRANCH in inputs) feeds[BRANCH] = tensor('bool', Uint8Array.of(before > 0 ? 1 : 0), [1]);
  return feeds;
}
