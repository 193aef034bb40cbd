/** @file Counts of classes by what is true and what was answered, record by record. */

import { bootstrapIntervals, type ClassScores, classMeasure, type MetricCollector } from '@onnx-lora/sdk/tasks';

/** What is measured of classes of residues. */
export type ResidueClassScores = Pick<ClassScores, 'accuracy' | 'macroF1' | 'balancedAccuracy' | 'mcc'>;

/** Residues of one record, of one true class and one answer. */
interface Cell {
  readonly record: number;
  readonly truth: number;
  readonly answer: number;
  count: number;
}

/** Answers, as counts: there may be millions. */
export class ClassCells {
  readonly #classes: number;
  readonly #cells = new Map<string, Cell>();
  /** Records by their numbers, as they came. */
  readonly #records = new Map<number, number>();

  constructor(classes: number) {
    this.#classes = classes;
  }

  add(record: number, truth: number, answer: number): void {
    if (!this.#records.has(record)) this.#records.set(record, this.#records.size);
    const key = `${record} ${truth} ${answer}`;
    const cell = this.#cells.get(key);
    if (cell) cell.count++;
    else this.#cells.set(key, { record: this.#records.get(record)!, truth, answer, count: 1 });
  }

  /** Over all residues, and by a bootstrap over records, for residues of one protein are no independent evidence. */
  scores(seed: number): {
    readonly scores: ResidueClassScores;
    readonly intervals: () => ReturnType<NonNullable<MetricCollector['intervals']>>;
  } {
    const cells = [...this.#cells.values()];
    const measure = classMeasure({
      classes: this.#classes,
      truths: cells.map(({ truth }) => truth),
      probabilities: cells.flatMap(({ answer }) =>
        Array.from({ length: this.#classes }, (_, c) => Number(c === answer)),
      ),
    });
    const of = (times?: ArrayLike<number>): ResidueClassScores => {
      const { accuracy, macroF1, balancedAccuracy, mcc } = measure(
        cells.map(({ record, count }) => count * (times ? times[record]! : 1)),
      );
      return { accuracy, macroF1, balancedAccuracy, mcc };
    };
    return { scores: of(), intervals: () => bootstrapIntervals(of, this.#records.size, { seed }) };
  }

  /** Residues by true class, then answer. */
  counts(): number[][] {
    const counts = Array.from({ length: this.#classes }, () => Array.from({ length: this.#classes }, () => 0));
    for (const { truth, answer, count } of this.#cells.values()) counts[truth]![answer]! += count;
    return counts;
  }
}
