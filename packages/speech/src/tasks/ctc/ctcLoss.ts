/** @file The CTC loss, the targets of a batch, and metrics. */

import { type Feeds, int64, type Tensor } from '@onnx-lora/sdk';
import {
  logSumExp,
  bestPaths,
  bootstrapDraws,
  type CtcTokenizer,
  type Draws,
  drawsFor,
  ErrorCounter,
  meanMeasure,
  type MetricCollector,
  type MetricsNamed,
} from '@onnx-lora/sdk/tasks';
import type { TextNormaliser } from '../../text/normalise/basicNormaliser.ts';
import { type AudioFeeds, type FrameCount, frameTargets, framesOf } from '../audioFeeds.ts';
import { frameScores } from './ctcPorts.ts';

const PADDING = -100;
/** Rows of labels are padded to multiples of this, so that a graph built per shape serves more batches. */
const LABEL_STEP = 32;

/** A clip's transcript. */
export interface CtcTarget {
  /** Token ids without blanks. */
  readonly ids: readonly number[];
  /** Index of the transcript. */
  readonly utterance: number;
}

/** Targets: `labels` int64 `[batch, length]`, padded with −100; `utterances` int64 `[batch]`; {@link frameTargets}. */
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
function labelsOf({ labels }: Feeds): number[][] {
  const [rows, length] = labels!.dims as readonly [number, number];
  return Array.from({ length: rows }, (_, row) =>
    Array.from(labels!.data.subarray(row * length, (row + 1) * length), Number).filter((id) => id !== PADDING),
  );
}

interface CtcRow {
  readonly logits: Float32Array;
  readonly frames: number;
  readonly labels: number;
}

/** `−log` of the labels' probability; infinite if they do not fit. @see Graves et al. (2006), equations 6 to 8 */
export function ctcLoss({ logits, frames, labels }: CtcRow, ids: readonly number[], blank: number): number {
  const states = [blank, ...ids.flatMap((id) => [id, blank])];
  let ways = new Float64Array(states.length).fill(-Infinity);
  ways[0] = 0;
  // Before the first frame, only the first two states are reachable.
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

/** Least frames for a label sequence: one per label, and a blank between equal neighbours. */
export function framesNeeded(ids: readonly number[]): number {
  return ids.reduce((sum, id, i) => sum + (id === ids[i - 1] ? 2 : 1), 0);
}

function logAdd(a: number, b: number): number {
  const [high, low] = a > b ? [a, b] : [b, a];
  return low === -Infinity ? high : high + Math.log1p(Math.exp(low - high));
}

export interface CtcMetricsOptions {
  readonly output: string;
  readonly tokenizer: CtcTokenizer;
  readonly texts: readonly string[];
  readonly normalise?: TextNormaliser | undefined;
}

/** Error rates of words and characters, and the loss. */
export type CtcScores = MetricsNamed<'wer' | 'cer' | 'loss'>;

/** Collects metrics; targets are those of `ctcTargets`. */
export class CtcMetrics implements MetricCollector<CtcScores> {
  readonly #options: CtcMetricsOptions;
  readonly #errors: ErrorCounter;
  readonly #losses: number[] = [];

  constructor(options: CtcMetricsOptions) {
    this.#options = options;
    this.#errors = new ErrorCounter(options.normalise);
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const { output, tokenizer, texts } = this.#options;
    const logits = frameScores(outputs, output);
    const [, frames, labels] = logits.dims as readonly [number, number, number];
    const data = logits.data as Float32Array;
    const lengths = framesOf(targets, frames);
    const truths = labelsOf(targets);
    for (const [row, ids] of bestPaths(logits, lengths).entries()) {
      this.#errors.add(texts[Number(targets['utterances']!.data[row])]!, tokenizer.decodeFrames(ids));
      const scores = data.subarray(row * frames * labels, (row + 1) * frames * labels);
      const truth = truths[row]!;
      const loss = ctcLoss({ logits: scores, frames: lengths[row]!, labels }, truth, tokenizer.blank);
      // As in training: impossible labels count as 0, and a row's loss is divided by its labels.
      this.#losses.push(loss < Infinity ? loss / Math.max(1, truth.length) : 0);
    }
  }

  /** `wer` and `cer` of the greedy path (0 to 1 and more), and `loss`, the mean over clips of nats per label. */
  result(): CtcScores {
    const { wer, cer } = this.#errors.rates();
    return { wer, cer, ...meanMeasure({ loss: this.#losses })() };
  }

  /** The metrics on resampled sets of clips. */
  draws(): Draws {
    const { length } = this.#losses;
    const options = { samples: drawsFor(length) };
    return { ...this.#errors.draws(), ...bootstrapDraws(meanMeasure({ loss: this.#losses }), length, options) };
  }
}
