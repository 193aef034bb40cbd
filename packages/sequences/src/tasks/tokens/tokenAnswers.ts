/** @file Predictions on parts of sequences, such as residues or words, joined over windows and measured. */

import type { Feeds } from '@onnx-lora/sdk';
import {
  AnswerMetrics,
  type AnswerReader,
  ClassTally,
  JoinedWindows,
  type MeanAnswer,
  meanClasses,
  meanNumbers,
  type MetricsNamed,
  type NumberScores,
  NumberTally,
  type PartAnswer,
} from '@onnx-lora/sdk/tasks';
import { tokenOutput } from '../outputOfTokens.ts';
import type { SequenceRow } from '../records/sequencePredictor.ts';
import { placesOf } from './tokenTargets.ts';

/** Metrics of classes per part. */
export type TokenClassScores = Readonly<Record<'accuracy' | 'macroF1' | 'balancedAccuracy' | 'mcc', number>>;

/** Options of a metric collector. */
export interface TokenMetricsOptions {
  /** The output `[batch, tokens, width]`. */
  readonly output: string;
  /** Names of the output's columns. */
  readonly labels: readonly string[];
}

/** Tallies classes of parts: accuracy, macro F1, balanced accuracy and Matthews' correlation. */
export function tokenTally({
  labels,
}: Pick<TokenMetricsOptions, 'labels'>): ClassTally<TokenClassScores & MetricsNamed<'loss'>> {
  return new ClassTally({ labels, metrics: ['accuracy', 'macroF1', 'balancedAccuracy', 'mcc', 'loss'] });
}

/** Collects classes. Targets: `labels`, int64 `[batch, tokens]`, −100 for unknown, and those of `placeTargets`. */
export function tokenClassMetrics(
  options: TokenMetricsOptions,
): AnswerMetrics<number, TokenClassScores & MetricsNamed<'loss'>, ReturnType<typeof tokenTally>> {
  const truthsOf = ({ labels }: Feeds): (number | undefined)[] =>
    Array.from(labels!.data as BigInt64Array, (label) => (Number(label) === UNKNOWN ? undefined : Number(label)));
  return new AnswerMetrics(tokenAnswers(options, truthsOf, meanClasses), tokenTally(options), meanClasses);
}

/** Collects numbers. Targets: `values` and `known`, float32 `[batch, tokens, 1]`, and those of `placeTargets`. */
export function tokenNumberMetrics(
  options: TokenMetricsOptions,
): AnswerMetrics<readonly number[], NumberScores, NumberTally<NumberScores>> {
  const truthsOf = ({ values, known }: Feeds): (readonly number[] | undefined)[] =>
    Array.from(values!.data as Float32Array, (value, i) => (known!.data[i] === 0 ? undefined : [value]));
  const tally = new NumberTally<NumberScores>({ outputs: 1, metrics: ['spearman', 'pearson', 'rmse', 'mae', 'r2'] }); // prettier-ignore
  return new AnswerMetrics(tokenAnswers(options, truthsOf, meanNumbers), tally);
}

/** Label of tokens with an unknown class: torch's `ignore_index`. */
export const UNKNOWN = -100;

/** Reads predictions of tokens with a known target. */
function tokenAnswers<Truth>(
  { output, labels }: TokenMetricsOptions,
  truthsOf: (targets: Feeds) => readonly (Truth | undefined)[],
  mean: MeanAnswer,
): AnswerReader<Truth> {
  return (members, targets) => {
    const each = members.map((outputs) => tokenOutput(outputs, output, labels.length));
    const { tokens } = each[0]!;
    const truths = truthsOf(targets);
    return placesOf(targets).map(({ record, windows, at, from }, row) => {
      const answers: PartAnswer<Truth>[] = [];
      for (let i = at; i < tokens; i++) {
        const truth = truths[row * tokens + i];
        if (truth === undefined) continue;
        answers.push({ part: from + i - at, truth, values: mean(each.map((scores) => scores.at(row, i))) });
      }
      return { record, windows, answers };
    });
  };
}

/** A sequence for the report, with its score and predictions. */
export interface ShownRecord<Truth> {
  /** Index of the record. */
  readonly record: number;
  /** Quality of the predictions, higher is better. */
  readonly score: number;
  /** Predictions of its parts. */
  readonly answers: readonly PartAnswer<Truth>[];
}

/** The worst sequences, and some in the middle. */
export function worstAndMedian<Truth>(
  found: readonly ShownRecord<Truth>[],
  worst: number,
  usual: number,
): (ShownRecord<Truth> & { readonly kind: 'worst' | 'usual' })[] {
  const sorted = found.toSorted((a, b) => a.score - b.score);
  const middle = Math.max(Math.min(worst, sorted.length), Math.floor((sorted.length - usual) / 2));
  return [
    ...sorted.slice(0, worst).map((each) => ({ ...each, kind: 'worst' as const })),
    ...sorted.slice(middle, middle + usual).map((each) => ({ ...each, kind: 'usual' as const })),
  ];
}

/** The most probable class; ties go to the first. */
export function bestOf(scores: ArrayLike<number>): number {
  let best = 0;
  for (let c = 1; c < scores.length; c++) if (scores[c]! > scores[best]!) best = c;
  return best;
}

/** The mean prediction per token over windows and adapters; `valuesOf` reads probabilities or numbers from scores. */
export function answersByToken(
  rows: readonly Pick<SequenceRow, 'row' | 'members'>[],
  {
    output,
    outputs,
    valuesOf,
  }: {
    readonly output: string;
    readonly outputs: number;
    readonly valuesOf: (scores: Float32Array) => Float64Array;
  },
): ReadonlyMap<number, Float64Array> {
  const found = new Map<number, Float64Array>();
  const joined = new JoinedWindows((_, answers) => {
    for (const { part, values } of answers) found.set(part, values);
  });
  const members = rows[0]!.members.length;
  for (const { row, members: each } of rows) {
    for (const member of each) {
      const scores = tokenOutput(member, output, outputs);
      const answers = Array.from({ length: row.count }, (__, i): PartAnswer => {
        return { part: row.from + i, truth: Number.NaN, values: valuesOf(scores.at(0, row.at + i)) };
      });
      joined.add({ record: 0, windows: rows.length * members, answers });
    }
  }
  return found;
}
