/** @file How well a CTC model writes what is said: error rates of its best characters, and its loss. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import {
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
import { frameScores } from './ctcPorts.ts';
import { ctcLoss, labelsOf } from './ctcLoss.ts';
import { framesOf } from '../frameTargets.ts';

/** What a collector must know of the task. */
export interface CtcMetricsOptions {
  /** Name of the output. */
  readonly output: string;
  readonly tokenizer: CtcTokenizer;
  /** The transcripts, by the numbers that targets name them with. */
  readonly texts: readonly string[];
  /** Makes texts alike that say the same. */
  readonly normalise?: TextNormaliser | undefined;
}

/** What is measured of transcripts: error rates of words and characters, and the loss. */
export type CtcScores = MetricsNamed<'wer' | 'cer' | 'loss'>;

/** Sums up batches. Targets are those of `ctcTargets`. */
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
      // As in training: labels that do not fit count as 0, and a row's loss is shared among its labels.
      this.#losses.push(loss < Infinity ? loss / Math.max(1, truth.length) : 0);
    }
  }

  /** `wer` and `cer` of the best path, 0 to 1 and more, and `loss`, the mean over clips of the loss per label in nats. */
  result(): CtcScores {
    const { wer, cer } = this.#errors.rates();
    return { wer, cer, ...meanMeasure({ loss: this.#losses })() };
  }

  /** The same on sets of clips that are drawn. */
  draws(): Draws {
    const { length } = this.#losses;
    const options = { samples: drawsFor(length) };
    return { ...this.#errors.draws(), ...bootstrapDraws(meanMeasure({ loss: this.#losses }), length, options) };
  }
}
