/** @file Special tokens around one sequence, and around two. */

import type { FramedTokens } from './sequenceTokenizer.ts';

/** A special token, or the place of a sequence; `type` is its `token_type_id`. */
export type FrameItem =
  { readonly id: number; readonly type: number } | { readonly sequence: 0 | 1; readonly type: number };

/** What stands around sequences, in order. */
export interface Frame {
  readonly single: readonly FrameItem[];
  readonly pair: readonly FrameItem[];
}

/** How BERT and its kin write: the ids `begin` in front and `end` behind each sequence. */
export interface PlainFrame {
  readonly begin: readonly number[];
  readonly end: readonly number[];
  /** Before the second sequence: RoBERTa has its end once more. */
  readonly between?: readonly number[];
  /** `token_type_id` of the second sequence; 1 is BERT's. */
  readonly secondType?: 0 | 1;
}

/** The frame of BERT's kind: `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`. */
export function plainFrame({ begin, end, between = [], secondType = 1 }: PlainFrame): Frame {
  const special = (ids: readonly number[], type: number): FrameItem[] => ids.map((id) => ({ id, type }));
  const single: FrameItem[] = [...special(begin, 0), { sequence: 0, type: 0 }, ...special(end, 0)];
  const second: FrameItem[] = [{ sequence: 1, type: secondType }, ...special(end, secondType)];
  return { single, pair: [...single, ...special(between, secondType), ...second] };
}

/** How many special tokens a frame adds. */
export function addedBy({ single, pair }: Frame): { readonly single: number; readonly pair: number } {
  const count = (items: readonly FrameItem[]): number => items.filter((item) => 'id' in item).length;
  return { single: count(single), pair: count(pair) };
}

/** Ids of one sequence, or of two, with what stands around them. */
export function framedBy(frame: Frame, first: readonly number[], second?: readonly number[]): FramedTokens {
  const ids: number[] = [];
  const types: number[] = [];
  const at: [number, number] = [0, 0];
  for (const item of second ? frame.pair : frame.single) {
    if ('sequence' in item) at[item.sequence] = ids.length;
    const added = 'id' in item ? [item.id] : item.sequence === 0 ? first : second!;
    for (const id of added) {
      ids.push(id);
      types.push(item.type);
    }
  }
  return { ids, types, firstAt: at[0], ...(second ? { secondAt: at[1] } : {}) };
}
