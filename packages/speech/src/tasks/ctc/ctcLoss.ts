/** @file The CTC loss of a batch, and its targets. */

import { type Feeds, int64 } from '@onnx-lora/sdk';
import { logSumExp } from '@onnx-lora/sdk/tasks';
import type { FrameCount } from '../frameCount.ts';
import { frameTargets } from '../frameTargets.ts';
import type { AudioFeeds } from '../audioFeeds.ts';

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
  sound: Pick<AudioFeeds, 'lengths' | 'padded'>,
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

/** What may be said of one clip. */
interface CtcRow {
  /** Scores `[frames, labels]`. */
  readonly logits: Float32Array;
  readonly frames: number;
  readonly labels: number;
}

/**
 * `−log` of the probability that the frames, with repeats joined and blanks left out, say the ids; infinite where these do not
 * fit in.
 *
 * @see Graves et al., "Connectionist Temporal Classification" (2006), equations 6 to 8
 */
export function ctcLoss({ logits, frames, labels }: CtcRow, ids: readonly number[], blank: number): number {
  const states = [blank, ...ids.flatMap((id) => [id, blank])];
  let ways = new Float64Array(states.length).fill(-Infinity);
  ways[0] = 0;
  // Before the first frame there is one way, in front of the first two states.
  for (let frame = 0; frame < frames; frame++) {
    const scores = logits.subarray(frame * labels, (frame + 1) * labels);
    const total = logSumExp(scores);
    const next = new Float64Array(states.length);
    for (const [state, id] of states.entries()) {
      const canSkip = state > 1 && id !== blank && id !== states[state - 2];
      const before =
        frame === 0
          ? state < 2 ? 0 : -Infinity // prettier-ignore
          : logAdd(logAdd(ways[state]!, ways[state - 1] ?? -Infinity), canSkip ? ways[state - 2]! : -Infinity);
      next[state] = before + scores[id]! - total;
    }
    ways = next;
  }
  return -logAdd(ways.at(-1)!, states.length > 1 ? ways.at(-2)! : -Infinity);
}

/** Fewest frames in which ids can be said: one each, and a blank between two that are the same. */
export function framesNeeded(ids: readonly number[]): number {
  return ids.reduce((sum, id, i) => sum + (id === ids[i - 1] ? 2 : 1), 0);
}

function logAdd(a: number, b: number): number {
  const [high, low] = a > b ? [a, b] : [b, a];
  return low === -Infinity ? high : high + Math.log1p(Math.exp(low - high));
}
