/** @file What a decoder is told of tokens beside their ids: where they stand, and which only fill up a row. */

import { type Feeds, int64, tensor } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';

/** Whether the first pass is this input's false, and the others its true: both decoders in one file. */
const BRANCH = 'use_cache_branch';

/** The inputs that `tokenFeeds` knows, beside the ids. */
export const tokenInputs: readonly string[] = ['attention_mask', 'position_ids', 'cache_position', BRANCH];

/** Tokens that are appended to texts. */
export interface AppendedTokens {
  /** What the model calls its ids. */
  readonly ids: string;
  /** `[rows][appended]`. */
  readonly tokens: readonly (readonly number[])[];
  /** How many tokens were read before. */
  readonly before: number;
  /** How many of the first tokens of each row only fill it up. */
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
