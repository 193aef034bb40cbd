/** @file Answers put together: those of the windows of a record, and those of several adapters, are one. */

import { logSumExp } from '../classification/scores.ts';

/** The answer about a record, or about a part of it, such as a residue. */
export interface PartAnswer<Truth = number> {
  /** Number of the part in its record; 0 where the answer is about all of it. */
  readonly part: number;
  /** What is true of it. */
  readonly truth: Truth;
  /** Scores of classes or labels, or numbers. */
  readonly values: Float64Array;
}

/** Answers from one window. */
export interface WindowAnswers<Truth = number> {
  /** Number of its record, and of how many windows of that it is one. */
  readonly record: number;
  /** 1 where the record is whole. */
  readonly windows: number;
  /** About the parts that are in the window. */
  readonly answers: readonly PartAnswer<Truth>[];
}

/** What rows of values say together. */
export type MeanAnswer = (rows: readonly ArrayLike<number>[]) => Float64Array;

/** The mean of numbers. */
export const meanNumbers: MeanAnswer = (rows) =>
  Float64Array.from(rows[0]!, (_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length);

/** Scores with which softmax gives the mean of the rows' probabilities. */
export const meanClasses: MeanAnswer = (rows) => {
  if (rows.length === 1) return Float64Array.from(rows[0]!);
  const each = rows.map((row) => {
    const scores = Float64Array.from(row);
    const total = logSumExp(scores);
    return scores.map((score) => Math.exp(score - total));
  });
  return meanNumbers(each).map(Math.log);
};

/** A score beyond it is a probability that is no other than 0 or 1. */
const SURE = 700;

/** Scores with which the logistic function gives the mean of the rows' probabilities. */
export const meanLabels: MeanAnswer = (rows) => {
  if (rows.length === 1) return Float64Array.from(rows[0]!);
  const means = meanNumbers(rows.map((row) => Float64Array.from(row, (score) => 1 / (1 + Math.exp(-score)))));
  return means.map((mean) => Math.max(-SURE, Math.min(SURE, Math.log(mean / (1 - mean)))));
};

interface Open<Truth> {
  missing: number;
  readonly parts: Map<number, { readonly truth: Truth; readonly rows: Float64Array[] }>;
}

/** Puts the windows of records together; it holds no more than the records of which windows are lacking. */
export class JoinedWindows<Truth = number> {
  readonly #open = new Map<number, Open<Truth>>();
  readonly #done: (record: number, answers: readonly PartAnswer<Truth>[]) => void;
  readonly #mean: MeanAnswer;

  /** `done` hears of each record when its last window is there; `mean` is the answer about what several windows hold. */
  constructor(done: (record: number, answers: readonly PartAnswer<Truth>[]) => void, mean: MeanAnswer = meanNumbers) {
    this.#done = done;
    this.#mean = mean;
  }

  /** Takes in a window. */
  add({ record, windows, answers }: WindowAnswers<Truth>): void {
    if (windows === 1) return this.#done(record, answers);
    const open = this.#open.get(record) ?? { missing: windows, parts: new Map() };
    this.#open.set(record, open);
    for (const { part, truth, values } of answers) {
      const known = open.parts.get(part);
      if (known) known.rows.push(values);
      else open.parts.set(part, { truth, rows: [values] });
    }
    open.missing--;
    if (open.missing === 0) this.#close(record, open);
  }

  /** Takes records as they are that lack windows, as where only some examples were measured. */
  flush(): void {
    for (const [record, open] of this.#open) this.#close(record, open);
  }

  #close(record: number, { parts }: Open<Truth>): void {
    this.#open.delete(record);
    const answers = [...parts]
      .sort(([a], [b]) => a - b)
      .map(([part, { truth, rows }]) => ({ part, truth, values: this.#mean(rows) }));
    this.#done(record, answers);
  }
}
