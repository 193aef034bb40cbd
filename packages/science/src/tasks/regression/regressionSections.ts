/** @file What the report shows of predicted numbers. */

import type { Batch, ReportRequest, ReportSection } from '@onnx-lora/sdk/tasks';
import { frozenSections } from '../../report/frozenSections.ts';
import { highestLogo } from '../../report/logoSections.ts';
import { paritySection, residualSection } from '../../report/numberSections.ts';
import type { RecordAnswers } from '../recordMetrics.ts';
import type { SequenceDataset, SequenceExample } from '../sequenceTask.ts';

/** What the sections are made from. */
export interface RegressionReport {
  /** What each number is called. */
  readonly names: readonly string[];
  readonly answers: RecordAnswers;
  readonly train: SequenceDataset<readonly number[]>;
  readonly validation: SequenceDataset<readonly number[]>;
  readonly collate: (examples: readonly SequenceExample<readonly number[]>[]) => Promise<Batch>;
  /** Name of the base's hidden states; no comparison with baselines without it. */
  readonly hidden: string | undefined;
  readonly seed: number;
}

/** For each number what LoRA buys, predicted over measured, the errors, and what the sequences have in common that are predicted highest. */
export async function regressionSections(
  { names, answers: { answers, truths }, train, validation, collate, hidden, seed }: RegressionReport,
  request: ReportRequest,
): Promise<readonly ReportSection[]> {
  const predictedOf = (number: number): number[] => truths.map((_, row) => answers[row * names.length + number]!);
  const questions = names.map((name, number) => ({
    kind: 'numbers' as const,
    name: names.length > 1 ? name : undefined,
    targetOf: (target: readonly number[]) => target[number]!,
    adapted: predictedOf(number),
  }));
  const comparison =
    hidden === undefined ? [] : await frozenSections({ hidden, train, validation, collate, seed, questions }, request);
  const sequences = validation.records.map(({ sequence }) => sequence);
  const each = names.flatMap((name, number) => {
    const known = [...truths.keys()].filter((row) => !Number.isNaN(truths[row]![number]!));
    if (known.length === 0) return [];
    const pairs = {
      name,
      measured: known.map((row) => truths[row]![number]!),
      predicted: known.map((row) => answers[row * names.length + number]!),
    };
    return [paritySection(pairs), residualSection(pairs), ...highestLogo(name, sequences, predictedOf(number))];
  });
  return [...comparison, ...each];
}
