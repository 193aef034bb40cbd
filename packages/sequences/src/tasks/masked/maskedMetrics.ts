/** @file Metrics of masked-language modelling. */

import { type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  bootstrapDraws,
  bootstrapIntervals,
  type Draws,
  describedPorts,
  logSumExp,
  type MetricCollector,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import { tokenOutput } from '../outputOfTokens.ts';
import { maskedTokens } from './masking.ts';

interface MaskedPort {
  readonly output: string;
  /** May exceed the vocabulary: published models pad theirs. */
  readonly size: number;
}

/**
 * The output with vocabulary scores per token: `logits`, or the only one of that shape.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without it, such as a bare encoder or a classifier
 */
export function maskedPort(model: TaskModel, tokenizer: SequenceTokenizer): MaskedPort {
  const fitting = Object.entries(model.outputs).flatMap(([output, { dims }]) => {
    const size = dims?.[2];
    return dims?.length === 3 && typeof size === 'number' && size >= tokenizer.size ? [{ output, size }] : [];
  });
  const [only] = fitting;
  // Hidden states may be as wide as a vocabulary by chance.
  const found = fitting.find(({ output }) => output === 'logits') ?? (fitting.length === 1 ? only : undefined);
  if (found && found.output !== 'last_hidden_state') return found;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" does not guess masked tokens: that takes an output "logits" [batch, tokens, ${tokenizer.size} or more], and its outputs are ${describedPorts(model.outputs)}. Export the model with the head that it was pre-trained with (task fill-mask).`,
  );
}

/** Metrics of masked-language modelling. */
export type MaskedScores = Readonly<Record<'loss' | 'perplexity' | 'accuracy', number>>;

interface Sums {
  readonly loss: number;
  readonly right: number;
  readonly count: number;
}

const NONE: Sums = { loss: 0, right: 0, count: 0 };

/** Sums of the loss and of correct predictions, by record and by token. */
export class MaskedSums {
  readonly #records = new Map<number, Sums>();
  readonly #tokens = new Map<number, Sums>();

  /** Adds a prediction: `loss` is −log of the true token's probability, `isRight` whether it alone scores highest. */
  add(record: number, token: number, loss: number, isRight: boolean): void {
    for (const [sums, key] of [
      [this.#records, record],
      [this.#tokens, token],
    ] as const) // prettier-ignore
    {
      const old = sums.get(key) ?? NONE;
      sums.set(key, { loss: old.loss + loss, right: old.right + Number(isRight), count: old.count + 1 });
    }
  }

  /** Adds one prediction from the scores of all tokens. */
  addScores(record: number, token: number, scores: Float32Array): void {
    const isRight = scores.every((score, id) => id === token || score < scores[token]!);
    this.add(record, token, logSumExp(scores) - scores[token]!, isRight);
  }

  /** Number of predictions and of records. */
  get size(): { readonly guesses: number; readonly records: number } {
    return { guesses: total([...this.#records.values()]).count, records: this.#records.size };
  }

  /** Metrics over all predictions; NaN without any. */
  scores(): MaskedScores {
    return scoresOf(total([...this.#records.values()]));
  }

  /** Metrics of one token; NaN without predictions. */
  ofToken(token: number): MaskedScores & { readonly count: number } {
    const sums = this.#tokens.get(token) ?? NONE;
    return { ...scoresOf(sums), count: sums.count };
  }

  /** Bootstrap over records, as tokens of one protein correlate. */
  draws(): Draws {
    const records = [...this.#records.values()];
    return bootstrapDraws((times) => scoresOf(total(records, times)), records.length);
  }

  /** Change of the loss from `other` on the same tokens, with a paired interval (undefined below two records). */
  change(other: MaskedSums): { readonly loss: number; readonly interval: readonly [number, number] | undefined } {
    const records = [...this.#records].map(([key, own]) => ({
      ...own,
      loss: own.loss - other.#records.get(key)!.loss,
    }));
    const loss = (times?: ArrayLike<number>): number => scoresOf(total(records, times)).loss;
    const { change } = bootstrapIntervals((times) => ({ change: loss(times) }), records.length);
    return { loss: loss(), interval: change };
  }

  /** Mean loss per record. */
  losses(): ReadonlyMap<number, number> {
    return new Map([...this.#records].map(([record, { loss, count }]) => [record, loss / count]));
  }
}

/** @param times weight of each sum; 1 by default */
function total(all: readonly Sums[], times?: ArrayLike<number>): Sums {
  let [loss, right, count] = [0, 0, 0];
  all.forEach((sums, i) => {
    const weight = times ? times[i]! : 1;
    loss += weight * sums.loss;
    right += weight * sums.right;
    count += weight * sums.count;
  });
  return { loss, right, count };
}

function scoresOf({ loss, right, count }: Sums): MaskedScores {
  return { loss: loss / count, perplexity: Math.exp(loss / count), accuracy: right / count };
}

/** Collects metrics of batches with targets from `maskedTargets`. */
export class MaskedMetrics implements MetricCollector<MaskedScores> {
  readonly guesses: MaskedSums = new MaskedSums();
  readonly #port: MaskedPort;

  constructor(port: MaskedPort) {
    this.#port = port;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const scores = tokenOutput(outputs, this.#port.output, this.#port.size);
    for (const { row, at, record, token } of maskedTokens(targets))
      this.guesses.addScores(record, token, scores.at(row, at));
  }

  /**
   * `loss` is the mean cross-entropy in nats over masked tokens, `perplexity` its exponential (the number of equally
   * likely tokens to choose from), `accuracy` the share of correct predictions. All are NaN before the first batch.
   */
  result(): MaskedScores {
    return this.guesses.scores();
  }

  draws(): Draws {
    return this.guesses.draws();
  }
}
