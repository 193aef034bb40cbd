/** @file Report sections of classifiers: mistakes, classes, calibration. */

import type { MetricCollector } from '../../plugin/dataset.ts';
import type { ReportSection } from '../../plugin/reportSection.ts';
import { calibrationError, type ClassAnswer, type LabelledScores, reliability } from './calibration.ts';

type Confusion = ReturnType<NonNullable<MetricCollector['confusion']>>;

/** The wrong answers, most confident first. */
export function worstMistakes(
  answers: readonly ClassAnswer[],
  noun: string,
): { readonly worst: readonly ClassAnswer[]; readonly text: string } {
  const mistakes = answers.filter(({ truth, answer }) => truth !== answer);
  return {
    worst: mistakes.sort((a, b) => b.confidence - a.confidence),
    text: `${mistakes.length} of ${answers.length} held-out ${noun} are answered wrongly; these the most confidently.`,
  };
}

/** `x taken for y (93%)`. */
export function mistakeCaption({ truth, answer, confidence }: ClassAnswer, labels: readonly string[]): string {
  return `${labels[truth]} taken for ${labels[answer]} (${(100 * confidence).toFixed(0)}%)`;
}

/** A table with precision, recall and F1 of each class; `noun` names the examples: `images`. */
export function classTable({ labels, counts }: Confusion, noun: string): ReportSection {
  const named = labels.map((_, c) => counts.reduce((sum, row) => sum + row[c]!, 0));
  const rows = labels.flatMap((label, c) => {
    const right = counts[c]![c]!;
    const examples = counts[c]!.reduce((sum, count) => sum + count, 0);
    if (examples + named[c]! === 0) return [];
    const share = (count: number, of: number): number => (of === 0 ? 0 : Number((count / of).toFixed(4)));
    return [[label, examples, share(right, named[c]!), share(right, examples), share(2 * right, examples + named[c]!)]];
  });
  return { kind: 'table', title: 'Classes', columns: ['class', noun, 'precision', 'recall', 'F1'], rows };
}

/** A reliability diagram before and after temperature scaling. */
export function calibrationSection(scores: LabelledScores, temperature: number, noun: string): ReportSection {
  const [before, after] = [reliability(scores), reliability(scores, temperature)];
  const points = (bins: typeof before): (readonly [number, number])[] =>
    bins.map(({ confidence, accuracy }) => [confidence, accuracy]);
  return {
    kind: 'lines',
    title: 'Calibration',
    text: `How often answers of a confidence are right. Scores are divided by the temperature ${temperature.toFixed(3)}; the expected calibration error falls from ${(100 * calibrationError(before)).toFixed(1)}% to ${(100 * calibrationError(after)).toFixed(1)}%, on the ${noun} that the temperature was fitted on.`,
    x: 'confidence',
    y: 'accuracy',
    series: [
      { name: 'perfect', points: [[0, 0], [1, 1]] }, // prettier-ignore
      { name: 'before', points: points(before) },
      { name: 'after', points: points(after) },
    ],
  };
}
