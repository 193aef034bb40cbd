/** @file The domain of protein, molecule and DNA sequences. */

import type { DomainSections, FoundAnswers, ReportRequest } from '@onnx-lora/sdk/tasks';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import {
  answersOf,
  lengthSettings,
  type SequenceDomain,
  type SequenceItem,
  type SequencePredictorOptions as PredictorOptionsOf,
  type SequenceTask,
  type TokenOptions,
  type WholeOptions,
} from '@onnx-lora/sequences';
import { dataSettings } from './data/table/columnRoles.ts';
import { readSequenceData } from './data/readSequenceData.ts';
import type { SequenceDataOptions, SequenceRecord, SequenceSource } from './data/sequenceRecord.ts';
import { sequenceEndings, streamSequences } from './data/streamSequences.ts';
import { sequenceNames } from './names.ts';
import { classLogos, highestLogo } from './report/logoSections.ts';
import { type AttendedSequence, attentionSections } from './tasks/attention/attentionOver.ts';
import { unknownLetterWarnings } from './tasks/unknownLetterWarnings.ts';

/** Options of every task on sequences. */
export interface SequenceTaskOptions extends SequenceDataOptions, TokenOptions {}

/** Options of every task with one answer per sequence. */
export interface WholeSequenceOptions extends SequenceTaskOptions, WholeOptions {}

/** Options of predictors on sequences. */
export type SequencePredictorOptions = PredictorOptionsOf<SequenceDataOptions>;

/** The domain's reader, names, defaults and report sections: sequence logos and attention. */
export const sequenceDomain: SequenceDomain<SequenceRecord, SequenceSource, SequenceDataOptions> = {
  ...sequenceNames,
  settings: dataSettings,
  // Batches of 8, as in Schmirler et al. (2024): sequences are long and measured data sets small. They use a learning
  // rate of 3e-4 from 8 million parameters on; small models learn as well with 1e-3. A new head starts as a probe, so
  // few epochs suffice for large data. Sampling by length keeps padding low.
  defaults: { batchSize: 8, epochs: 5, lr: 5e-4, warmupSteps: 0.1, sampling: 'length' },
  input: { endings: sequenceEndings, streams: true, records: true },
  read: (source, options, wanted) => readSequenceData(source, { ...(wanted && { needs: [wanted] }), ...options }),
  stream: streamSequences,
  unfit: unknownLetterWarnings,
  sections,
};

/** Length and data settings of every trained task. */
export const sequenceSettings: SettingRows<SequenceTaskOptions> = { ...lengthSettings, ...dataSettings };

async function sections<Target>(
  found: FoundAnswers<SequenceItem<SequenceRecord>, SequenceRecord, Target>,
  request: ReportRequest,
  { tokenizer, options: { maxLength } }: SequenceTask<SequenceRecord>,
): Promise<DomainSections> {
  const { kind, labels, answers, validation } = found;
  const { records } = validation;
  const sequences = records.map(({ sequence }) => sequence);
  if (kind === 'numbers')
    return { last: labels.flatMap((name, i) => highestLogo(name, sequences, answersOf(found, i))) };
  if (kind === 'labels') return {};
  const named = records.map((_, row) => {
    const own = answers.subarray(row * labels.length, (row + 1) * labels.length);
    return own.indexOf(Math.max(...own));
  });
  const attended = attendedSequences(labels, found, records);
  const attention = await attentionSections(attended, request, { tokenizer, maxLength });
  return { last: [...classLogos(labels, sequences, named), ...attention] };
}

/** Maximum number of shown sequences, one per class, and their maximum length. */
const SHOWN = 4;
const LONGEST = 1000;

/** The best-answered sequence of each of the first classes, without pairs and long sequences. */
export function attendedSequences(
  labels: readonly string[],
  { answers, truths }: Pick<FoundAnswers<never, never, never>, 'answers' | 'truths'>,
  records: readonly SequenceRecord[],
): readonly AttendedSequence[] {
  const best = labels.flatMap((label, c) => {
    let found: { readonly record: SequenceRecord; readonly probability: number } | undefined;
    for (const [i, [truth]] of truths.entries()) {
      const record = records[i]!;
      const probability = answers[i * labels.length + c]!;
      if (truth !== c || record.second !== undefined || record.sequence.length > LONGEST) continue;
      if (!found || probability > found.probability) found = { record, probability };
    }
    if (!found) return [];
    const { record, probability } = found;
    return [{ title: `${record.id}: ${label} (${(100 * probability).toFixed(0)}%)`, sequence: record.sequence }];
  });
  return best.slice(0, SHOWN);
}
