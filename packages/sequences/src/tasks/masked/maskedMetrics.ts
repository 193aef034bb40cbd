/** @file Metrics of masked-language modelling. */

import { type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  bootstrapDraws,
  bootstrapIntervals,
  type Draws,
  listedPorts,
  logSumExp,
  type MetricCollector,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import { tokenOutput } from '../outputOfTokens.ts';
import { eachAsked } from './masking.ts';

/** Output with vocabulary scores per token. */
interface MaskedPort {
  /** Float32 `[batch, tokens, size]`. */
  readonly output: string;
  /** May exceed the vocabulary: published models pad theirs. */
  readonly size: number;
}

/**
 * The output with scores of the vocabulary for each token: `logits`, or the only one of that shape.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without it, as an encoder alone or a classifier
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
    `"${model.name}" does not guess masked tokens: that takes an output "logits" [batch, tokens, ${tokenizer.size} or more], and its outputs are ${listedPorts(model.outputs)}. Export the model with the head that it was pre-trained with (task fill-mask).`,
  );
}

/** How guesses are. */
export type MaskedScores = Readonly<Record<'loss' | 'perplexity' | 'accuracy', number>>;

interface Sums {
  readonly loss: number;
  readonly right: number;
  readonly count: number;
}

const NONE: Sums = { loss: 0, right: 0, count: 0 };

/** Guesses by record and by token. */
export class MaskedSums {
  readonly #records = new Map<number, Sums>();
  readonly #tokens = new Map<number, Sums>();

  /**
   * One guess.
   * @param loss −log of the probability of the token that is right
   * @param isRight whether no other token is as likely
   */
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

  /** Adds one guess from the scores of all tokens. */
  addScores(record: number, token: number, scores: Float32Array): void {
    const isRight = scores.every((score, id) => id === token || score < scores[token]!);
    this.add(record, token, logSumExp(scores) - scores[token]!, isRight);
  }

  /** Numbers of guesses and of records. */
  get size(): { readonly guesses: number; readonly records: number } {
    return { guesses: total([...this.#records.values()]).count, records: this.#records.size };
  }

  /** Over all guesses; NaN without any. */
  scores(): MaskedScores {
    return scoresOf(total([...this.#records.values()]));
  }

  /** Of one token; NaN without guesses. */
  ofToken(token: number): MaskedScores & { readonly count: number } {
    const sums = this.#tokens.get(token) ?? NONE;
    return { ...scoresOf(sums), count: sums.count };
  }

  /** Bootstrap over records: tokens of one protein correlate. */
  draws(): Draws {
    const records = [...this.#records.values()];
    return bootstrapDraws((times) => scoresOf(total(records, times)), records.length);
  }

  /**
   * The loss less that of `other`, which is of the same tokens, and its interval: the change is known better than either is.
   * Undefined for fewer than two records.
   */
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

/** @param times how often each counts; once by default */
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

/** Sums up batches. Targets are those of `maskedTargets`. */
export class MaskedMetrics implements MetricCollector<MaskedScores> {
  readonly guesses: MaskedSums = new MaskedSums();
  readonly #port: MaskedPort;

  constructor(port: MaskedPort) {
    this.#port = port;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const scores = tokenOutput(outputs, this.#port.output, this.#port.size);
    for (const { row, at, record, token } of eachAsked(targets))
      this.guesses.addScores(record, token, scores.at(row, at));
  }

  /**
   * `loss`, the mean cross-entropy in nats over all masked tokens; `perplexity`, its exponential: among so many tokens, all as
   * likely, the model chooses; and `accuracy`, the share of tokens whose best guess is right. All are NaN before the first.
   */
  result(): MaskedScores {
    return this.guesses.scores();
  }

  draws(): Draws {
    return this.guesses.draws();
  }
}
