/** @file Sums up guesses of tokens. */

import { bootstrapIntervals, logSumExp } from '@onnx-lora/sdk/tasks';

/** How guesses are. */
export type GuessScores = Readonly<Record<'loss' | 'perplexity' | 'accuracy', number>>;

/** Sums over guesses. */
interface Sums {
  readonly loss: number;
  readonly right: number;
  readonly count: number;
}

const NONE: Sums = { loss: 0, right: 0, count: 0 };

/** Guesses by record and by token. */
export class GuessSums {
  readonly #records = new Map<number, Sums>();
  readonly #tokens = new Map<number, Sums>();

  /**
   * One guess.
   *
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

  /** One guess, by the scores of all tokens. */
  addScores(record: number, token: number, scores: Float32Array): void {
    const isRight = scores.every((score, id) => id === token || score < scores[token]!);
    this.add(record, token, logSumExp(scores) - scores[token]!, isRight);
  }

  /** How many guesses, and of how many records. */
  get size(): { readonly guesses: number; readonly records: number } {
    return { guesses: total([...this.#records.values()]).count, records: this.#records.size };
  }

  /** Over all guesses; NaN where there are none. */
  scores(): GuessScores {
    return scoresOf(total([...this.#records.values()]));
  }

  /** Guesses of one token; NaN where there are none. */
  ofToken(token: number): GuessScores & { readonly count: number } {
    const sums = this.#tokens.get(token) ?? NONE;
    return { ...scoresOf(sums), count: sums.count };
  }

  /** Of {@link scores}, by a bootstrap over records: the tokens of one protein are alike. */
  intervals(seed: number): Readonly<Record<string, readonly [low: number, high: number]>> {
    const records = [...this.#records.values()];
    return bootstrapIntervals((times) => scoresOf(total(records, times)), records.length, { seed });
  }

  /**
   * The loss less that of `other`, which is of the same tokens, and its interval: the change is known better than either is.
   * Undefined for fewer than two records.
   */
  change(
    other: GuessSums,
    seed: number,
  ): { readonly loss: number; readonly interval: readonly [number, number] | undefined } {
    const records = [...this.#records].map(([key, own]) => ({
      ...own,
      loss: own.loss - other.#records.get(key)!.loss,
    }));
    const loss = (times?: ArrayLike<number>): number => scoresOf(total(records, times)).loss;
    const { change } = bootstrapIntervals((times) => ({ change: loss(times) }), records.length, { seed });
    return { loss: loss(), interval: change };
  }

  /** The mean loss of each record, by its number. */
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

function scoresOf({ loss, right, count }: Sums): GuessScores {
  return { loss: loss / count, perplexity: Math.exp(loss / count), accuracy: right / count };
}
