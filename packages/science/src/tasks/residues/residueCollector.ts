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

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    const { output, width, valuesOf, truthsOf } = this.#options;
    const scores = tokenOutput(outputs, output, width);
    const truths = truthsOf(targets);
    for (const [row, { record, windows, at, from }] of placesOf(targets).entries()) {
      const answers: ResidueAnswer[] = [];
      for (let i = at; i < scores.tokens; i++) {
        const truth = truths[row * scores.tokens + i]!;
        if (Number.isNaN(truth)) continue;
        answers.push({ token: from + i - at, truth, values: valuesOf(scores.at(row, i)) });
      }
      this.#joined.add({ record, windows, answers });
    }
  }

  /** To be called after the last batch. */
  finish(): void {
    this.#joined.flush();
  }
}
