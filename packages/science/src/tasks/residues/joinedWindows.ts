/** @file Puts the windows of a sequence together: the answer about a residue is the mean over the windows that hold it. */

/** The answer about one residue. */
export interface ResidueAnswer {
  /** Number of its token in the sequence. */
  readonly token: number;
  /** What is true of it; NaN where that is not known. */
  readonly truth: number;
  /** Probabilities of classes, or numbers. */
  readonly values: Float64Array;
}

/** Answers from one window. */
export interface WindowAnswers {
  /** Number of its record, and of how many windows of that it is one. */
  readonly record: number;
  readonly windows: number;
  readonly answers: readonly ResidueAnswer[];
}

interface Open {
  missing: number;
  readonly tokens: Map<number, { readonly truth: number; readonly sum: Float64Array; count: number }>;
}

/** Holds no more than the records of which windows are lacking. */
export class JoinedWindows {
  readonly #open = new Map<number, Open>();
  readonly #done: (record: number, answers: readonly ResidueAnswer[]) => void;

  /** `done` hears of each record when its last window is there. */
  constructor(done: (record: number, answers: readonly ResidueAnswer[]) => void) {
    this.#done = done;
  }

  add({ record, windows, answers }: WindowAnswers): void {
    if (windows === 1) return this.#done(record, answers);
    const open = this.#open.get(record) ?? { missing: windows, tokens: new Map() };
    this.#open.set(record, open);
    for (const { token, truth, values } of answers) {
      const known = open.tokens.get(token);
      if (known) {
        known.count++;
        for (let i = 0; i < values.length; i++) known.sum[i]! += values[i]!;
      } else open.tokens.set(token, { truth, sum: Float64Array.from(values), count: 1 });
    }
    open.missing--;
    if (open.missing === 0) this.#close(record, open);
  }

  /** Takes records as they are that lack windows, as where only some examples were measured. */
  flush(): void {
    for (const [record, open] of this.#open) this.#close(record, open);
  }

  #close(record: number, { tokens }: Open): void {
    this.#open.delete(record);
    const answers = [...tokens]
      .sort(([a], [b]) => a - b)
      .map(([token, { truth, sum, count }]) => ({ token, truth, values: sum.map((value) => value / count) }));
    this.#done(record, answers);
  }
}
