/** @file What the report shows of a classifier of sequences. */

import {
  answersOf,
  calibrationSection,
  classTable,
  type LabelledScores,
  type ReportSection,
  worstMistakes,
} from '@onnx-lora/sdk/tasks';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import { curveSections } from '../../report/curveSections.ts';
import { classLogos } from '../../report/logoSections.ts';
import type { RecordAnswers } from '../recordMetrics.ts';

const NOUN = 'sequences';
const MISTAKES = 20;
/** Letters of a sequence that a table shows. */
const SHOWN = 40;

/** What the sections are made from. */
export interface ClassReport {
  readonly labels: readonly string[];
  /** Probabilities without a temperature. */
  readonly answers: RecordAnswers;
  readonly records: readonly SequenceRecord[];
  /** The fitted temperature, where calibration was asked for. */
  readonly temperature?: number | undefined;
}

/** The worst mistakes, a row and curves per class, how far probabilities hold, and logos of sequences of one length. */
export function classSections({ labels, answers, records, temperature }: ClassReport): readonly ReportSection[] {
  // The logarithm of a probability is a score with which softmax gives that probability.
  const scores: LabelledScores = {
    rows: answers.truths.length,
    classes: labels.length,
    data: Float32Array.from(answers.answers, (probability) => Math.log(Math.max(probability, 1e-30))),
    truths: answers.truths.map(([truth]) => truth!),
  };
  const named = answersOf(scores, temperature);
  const { worst, text } = worstMistakes(named, MISTAKES, NOUN);
  return [
    ...(worst.length === 0
      ? []
      : [
          {
            kind: 'table',
            title: 'Worst mistakes',
            text,
            columns: ['sequence', 'class', 'answer', 'probability', 'begins with'],
            rows: worst.map(({ index, truth, answer, confidence }) => {
              const { id, sequence } = records[index]!;
              const start = sequence.length > SHOWN ? `${sequence.slice(0, SHOWN)}…` : sequence;
              return [id, labels[truth]!, labels[answer]!, Number(confidence.toFixed(4)), start];
            }),
          } as const,
        ]),
    classTable(labels, named, NOUN),
    ...curveSections({
      names: labels,
      scores: answers.answers,
      truths: answers.truths.flatMap(([truth]) => labels.map((_, c) => c === truth)),
    }),
    ...(temperature === undefined ? [] : [calibrationSection(scores, temperature, NOUN)]),
    ...classLogos(
      labels,
      records.map(({ sequence }) => sequence),
      named.map(({ answer }) => answer),
    ),
  ];
}
