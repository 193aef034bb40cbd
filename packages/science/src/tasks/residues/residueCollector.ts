/** @file Collects answers about residues, record by record. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import { tokenOutput } from '../outputOfTokens.ts';
import { JoinedWindows, type ResidueAnswer } from './joinedWindows.ts';
import { placesOf } from './residueTargets.ts';

/** What a collector must know of the task. */
export interface ResidueCollectorOptions {
  /** The output `[batch, tokens, width]`. */
  readonly output: string;
  readonly width: number;
  /** What the scores of a residue say: probabilities, or numbers. */
  readonly valuesOf: (scores: Float32Array) => Float64Array;
  /** What is known of each token of a batch, row by row; NaN where nothing is. */
  readonly truthsOf: (targets: Feeds) => ArrayLike<number>;
}

/** Takes in batches. Only residues of which something is known are looked at. */
export class ResidueCollector {
  readonly #options: ResidueCollectorOptions;
  readonly #joined: JoinedWindows;

  /** `done` hears of the answers about each record, when all of its windows have come. */
  constructor(options: ResidueCollectorOptions, done: (record: number, answers: readonly ResidueAnswer[]) => void) {
    this.#options = options;
    this.#joined = new JoinedWindows(done);
  }

  /** Takes in what one model gave for a batch, or several that answer together: the answer is the mean of theirs. */
  update(members: readonly Readonly<Record<string, Tensor>>[], targets: Feeds): void {
    const { output, width, valuesOf, truthsOf } = this.#options;
    const each = members.map((outputs) => tokenOutput(outputs, output, width));
    const { tokens } = each[0]!;
    const truths = truthsOf(targets);
    for (const [row, { record, windows, at, from }] of placesOf(targets).entries()) {
      const answers: ResidueAnswer[] = [];
      for (let i = at; i < tokens; i++) {
        const truth = truths[row * tokens + i]!;
        if (Number.isNaN(truth)) continue;
        answers.push({
          token: from + i - at,
          truth,
          values: meanOf(each.map((scores) => valuesOf(scores.at(row, i)))),
        });
      }
      this.#joined.add({ record, windows, answers });
    }
  }

  /** To be called after the last batch. */
  finish(): void {
    this.#joined.flush();
  }
}

function meanOf(members: readonly Float64Array[]): Float64Array {
  const [first, ...others] = members;
  return others.length === 0
    ? first!
    : first!.map((_, i) => members.reduce((sum, values) => sum + values[i]!, 0) / members.length);
}
