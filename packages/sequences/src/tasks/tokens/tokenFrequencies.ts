/** @file Baselines of token classes that ignore the context. */

import { type ComparedMeasurement, intervalsOf, type ReportSection, verdictOf } from '@onnx-lora/sdk/tasks';
import type { SequenceRecord } from '../../record.ts';
import { tokenTally } from './tokenAnswers.ts';
import type { PartReportOptions } from './tokenClasses.ts';

type Counted = ReturnType<typeof tokenTally>;

/** Class counts by token. */
export class TokenFrequencies {
  readonly #classes: number;
  readonly #all: number[];
  readonly #byToken = new Map<number, number[]>();

  constructor(classes: number) {
    this.#classes = classes;
    this.#all = Array.from({ length: classes }, () => 0);
  }

  /** Counts the classes of a sequence's tokens, NaN where unknown. */
  learn(ids: readonly number[], classes: readonly number[]): void {
    for (const [token, id] of ids.entries()) {
      const found = classes[token]!;
      if (Number.isNaN(found)) continue;
      const counts = this.#byToken.get(id) ?? Array.from({ length: this.#classes }, () => 0);
      counts[found]!++;
      this.#byToken.set(id, counts);
      this.#all[found]!++;
    }
  }

  /** The majority class. */
  get majority(): number {
    return most(this.#all);
  }

  /** The majority class of a token; for unseen tokens that of all. */
  of(id: number): number {
    return most(this.#byToken.get(id) ?? this.#all);
  }
}

function most(counts: readonly number[]): number {
  return counts.indexOf(Math.max(...counts));
}

/** Compares the adapter with baselines that ignore the sequence around a residue. */
export function classComparison<R extends SequenceRecord>(
  { tokenizer, train, validation, labels }: PartReportOptions<R>,
  { noun, each }: { readonly noun: string; readonly each: string },
  adapted: Counted,
  base: Counted | undefined,
): ReportSection {
  const guess = new TokenFrequencies(labels.length);
  train.records.forEach((record, i) => guess.learn(tokenizer.tokens(record.sequence).ids, train.targets[i]!));
  const [majority, byLetter] = [tokenTally({ labels }), tokenTally({ labels })];
  validation.records.forEach(({ sequence }, record) => {
    const { ids } = tokenizer.tokens(sequence);
    validation.targets[record]!.forEach((truth, token) => {
      if (Number.isNaN(truth)) return;
      majority.count(record, truth, guess.majority);
      byLetter.count(record, truth, guess.of(ids[token]!));
    });
  });
  const rows: (readonly [string, Counted])[] = [
    [`always ${labels[guess.majority]!}`, majority],
    [`the usual class of each ${each}`, byLetter],
    ...(base ? ([['model before', base]] as const) : []),
    ['with the adapter', adapted],
  ];
  const measured = (cells: Counted): ComparedMeasurement => ({ metrics: cells.result(), draws: cells.draws() });
  const baselines = Object.fromEntries(rows.slice(0, 2).map(([name, cells]) => [name, measured(cells)]));
  const verdict = verdictOf(measured(adapted), baselines);
  return {
    kind: 'table',
    title: 'Against guessing',
    baselines,
    text: `${verdict ? `${verdict.text} ` : ''}On all ${noun} with a known class of ${validation.records.length} held-out sequences. Intervals are those of a bootstrap over sequences: whole sequences are drawn, since ${noun} of one are no independent evidence.`,
    columns: ['', 'accuracy', '95% interval', 'macro F1', 'MCC'],
    rows: rows.map(([name, cells]) => {
      const { accuracy, macroF1, mcc } = cells.result();
      return [name, rounded(accuracy), range(intervalsOf(cells.draws())['accuracy']), rounded(macroF1), rounded(mcc)];
    }),
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(4));
}

function range(interval: readonly [low: number, high: number] | undefined): string {
  return interval ? `${interval[0].toFixed(3)} – ${interval[1].toFixed(3)}` : '–';
}
