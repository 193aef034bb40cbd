/** @file Averages the answers of a record's windows, and of several adapters. */

import { logSumExp } from '../classification/scores.ts';

/** The answer about a record or a part of it, such as a residue. */
export interface PartAnswer<Truth = number> {
  /** Index of the part in its record; 0 if the answer is about all of it. */
  readonly part: number;
  /** The truth. */
  readonly truth: Truth;
  /** Scores of classes or labels, or predicted numbers. */
  readonly values: Float64Array;
}

/** Answers from one window. */
export interface WindowAnswers<Truth = number> {
  /** Index of the record. */
  readonly record: number;
  /** Number of windows of the record. */
  readonly windows: number;
  /** Answers about the parts in the window. */
  readonly answers: readonly PartAnswer<Truth>[];
}

/** Averages rows of values. */
export type MeanAnswer = (rows: readonly ArrayLike<number>[]) => Float64Array;

/** Mean of numbers. */
export const meanNumbers: MeanAnswer = (rows) =>
  Float64Array.from(rows[0]!, (_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length);

/** Scores whose softmax is the mean of the rows' probabilities. */
export const meanClasses: MeanAnswer = (rows) => {
  if (rows.length === 1) return Float64Array.from(rows[0]!);
  const each = rows.map((row) => {
    const scores = Float64Array.from(row);
    const total = logSumExp(scores);
    return scores.map((score) => Math.exp(score - total));
  });
  return meanNumbers(each).map(Math.log);
};

/** Beyond this score, probabilities round to 0 or 1. */
const SURE = 700;

/** Scores whose logistic function is the mean of the rows' probabilities. */
export const meanLabels: MeanAnswer = (rows) => {
  if (rows.length === 1) return Float64Array.from(rows[0]!);
  const means = meanNumbers(rows.map((row) => Float64Array.from(row, (score) => 1 / (1 + Math.exp(-score)))));
  return means.map((mean) => Math.max(-SURE, Math.min(SURE, Math.log(mean / (1 - mean)))));
};

interface Open<Truth> {
  missing: number;
  readonly parts: Map<number, { readonly truth: Truth; readonly rows: Float64Array[] }>;
}

/** Joins the windows of records; holds only records with missing windows. */
export class JoinedWindows<Truth = number> {
  readonly #open = new Map<number, Open<Truth>>();
  readonly #done: (record: number, answers: readonly PartAnswer<Truth>[]) => void;
  readonly #mean: MeanAnswer;

  /** `done` receives each record with its last window; `mean` averages overlapping windows. */
  constructor(done: (record: number, answers: readonly PartAnswer<Truth>[]) => void, mean: MeanAnswer = meanNumbers) {
    this.#done = done;
    this.#mean = mean;
  }

  /** Adds a window. */
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

  /** Completes records with missing windows, as in an evaluation of some examples only. */
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
