/** @file Feeds of a decoder: those of its tokens, and those fixed over all passes. */

import { type BoundFeeds, type Feeds, int64, tensor } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableSession } from '@onnx-lora/sdk/tasks';
import { selectRows } from './rows.ts';

/** Feeds that stay as they are, but for which rows there are. */
export class FixedFeeds {
  #feeds: Feeds;
  /** The original row that each row reads. */
  #rows: readonly number[];
  #bound: BoundFeeds | undefined;

  constructor(feeds: Feeds, rows: number) {
    this.#feeds = feeds;
    this.#rows = Array.from({ length: rows }, (_, i) => i);
  }

  get feeds(): Feeds {
    return this.#feeds;
  }

  /** Replaces the feeds, for the same rows. */
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

  /** Frees the handle. */
  release(): void {
    this.#bound?.release();
    this.#bound = undefined;
  }
}

/** Feeds of which each tensor is changed. */
export function mapFeeds(feeds: Feeds, change: (tensor: Feeds[string]) => Feeds[string]): Feeds {
  return Object.fromEntries(Object.entries(feeds).map(([name, each]) => [name, change(each)]));
}

/** False in the first pass and true later, in merged decoders. */
const BRANCH = 'use_cache_branch';

/** The inputs that `tokenFeeds` knows, beside the ids. */
export const tokenInputs: readonly string[] = ['attention_mask', 'position_ids', 'cache_position', BRANCH];

/** Tokens that are appended to texts. */
export interface AppendedTokens {
  /** Name of the ids' input. */
  readonly ids: string;
  /** `[rows][appended]`. */
  readonly tokens: readonly (readonly number[])[];
  /** Tokens read before. */
  readonly before: number;
  /** Left padding per row. */
  readonly padding: readonly number[] | undefined;
}

/** Ids, and of the others those that the model reads: the mask covers what was read before, too. */
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
