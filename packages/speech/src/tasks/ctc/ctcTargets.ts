/** @file What the loss and the metrics of CTC compare a batch with. */

import { type Feeds, int64 } from '@onnx-lora/sdk';
import type { FrameCount } from '../frameCount.ts';
import { frameTargets } from '../frameTargets.ts';
import type { SoundFeeds } from '../soundFeeds.ts';

/** Labels with this value are padding. */
const PADDING = -100;
/** Rows of labels are as long as a multiple of this, so that a graph that is built for their shape serves other batches. */
const LABEL_STEP = 32;

/** The transcript of a clip. */
export interface CtcTarget {
  /** Ids of its tokens, without blanks. */
  readonly ids: readonly number[];
  /** Its number among all transcripts. */
  readonly utterance: number;
}

/**
 * Targets of a batch: `labels` int64 `[batch, length]`, padded with −100; `utterances` int64 `[batch]`; and those of
 * {@link frameTargets}.
 */
export function ctcTargets(
  targets: readonly CtcTarget[],
  sound: Pick<SoundFeeds, 'lengths' | 'padded'>,
  count: FrameCount | undefined,
): Feeds {
  const longest = Math.max(1, ...targets.map(({ ids }) => ids.length));
  const length = Math.ceil(longest / LABEL_STEP) * LABEL_STEP;
  const labels = targets.flatMap(({ ids }) => Array.from({ length }, (_, i) => ids[i] ?? PADDING));
  const rows = [targets.length];
  return {
    labels: int64(labels, [targets.length, length]),
    utterances: int64(
      targets.map(({ utterance }) => utterance),
      rows,
    ),
    ...frameTargets(sound, count),
  };
}

/** The labels of each row, without padding. */
export function labelsOf({ labels }: Feeds): number[][] {
  const [rows, length] = labels!.dims as readonly [number, number];
  return Array.from({ length: rows }, (_, row) =>
    Array.from(labels!.data.subarray(row * length, (row + 1) * length), Number).filter((id) => id !== PADDING),
  );
}
