/** @file Sequences as tasks with classes, labels or numbers take them: how they are read, fed and shown. */

import {
  type ClassAnswer,
  type Examples,
  type FoundAnswers,
  type ReportSection,
  recordTargets,
  type ShownMistakes,
} from '@onnx-lora/sdk/tasks';
import { heldOutNote, type SequenceRecord, type SequenceSource } from '../../data/sequenceRecord.ts';
import { curveSections } from '../../report/curveSections.ts';
import { type BaselineOptions, hiddenOutput } from '../../report/frozenEmbeddings.ts';
import { type FrozenQuestion, frozenSections } from '../../report/frozenSections.ts';
import { classLogos, highestLogo } from '../../report/logoSections.ts';
import { type AttendedSequence, attentionSections } from '../attention/attentionSection.ts';
import { openSequenceTask } from '../openSequenceTask.ts';
import { ridgeProbe } from '../ridgeProbe.ts';
import { headOnTokens, ownHead, type SequenceHeadOptions } from '../sequenceHead.ts';
import type { SequenceDataset, SequenceItem, SequenceTaskOptions } from '../sequenceTask.ts';

/** Options of every task with one answer per sequence. */
export interface WholeSequenceOptions extends SequenceTaskOptions, SequenceHeadOptions, BaselineOptions {}

/** Sequences whose attention is shown, one of a class; and letters of the longest. */
const SHOWN = 4;
const LONGEST = 1000;
/** Mistakes in the report's table, and letters of a sequence that it shows. */
const MISTAKES = 20;
const LETTERS = 40;

/** What each kind of task needs of the data. */
const needs = { classes: 'label', labels: 'labels', numbers: 'values' } as const;

/** The sequences, or pairs of them, of a table, a FASTA file, or whatever else `readSequenceData` reads. */
export function sequenceExamples(
  source: SequenceSource,
  { pool, baselines = true, ...options }: WholeSequenceOptions,
): Examples<SequenceItem, SequenceRecord> {
  return {
    noun: 'sequences',
    one: 'sequence',
    root: typeof source === 'string' ? source : 'the data',
    tagging: 'sequence-labelling',
    open: async (model, kind) => {
      const task = await openSequenceTask(model, source, { needs: [needs[kind]], ...options });
      const { data, ports, tokenizer } = task;
      const { seed = 0, maxLength } = options;
      const hidden = baselines ? hiddenOutput(model) : undefined;
      return {
        data,
        notes: [heldOutNote(data)],
        known: ({ where, labels, values }) => ({ place: where, labels, values }),
        own: ownHead(model),
        attach: headOnTokens(ports, pool),
        dataset: (records, targets, isTrained) => task.dataset(records, targets, { isTrained }),
        feeds: (examples) => {
          const rows = examples.map(({ row }) => row);
          return task.feeds(rows, examples[0]?.draw !== undefined);
        },
        targets: recordTargets,
        ...(hidden !== undefined && { outputs: [hidden] }),
        probe: ridgeProbe,
        metrics: {
          classes: ['accuracy', 'balancedAccuracy', 'macroF1', 'mcc', 'auroc', 'auprc', 'loss'],
          labels: ['mAP', 'auroc', 'microF1', 'macroF1', 'mcc'],
          numbers: ['spearman', 'pearson', 'rmse', 'mae', 'r2'],
        },
        seed,
        mistakes: (worst, shown) => Promise.resolve(mistakes(worst.slice(0, MISTAKES), shown)),
        sections: async (found, request) => {
          const { train, validation, collate, labels, answers, truths } = found;
          const { records } = validation;
          // They are what `dataset` has made.
          const sets = { train: train as SequenceDataset<never>, validation: validation as SequenceDataset<never> };
          const first = hidden === undefined ? [] : await frozenSections({ hidden, ...sets, collate, seed, questions: questionsOf(found) }, request); // prettier-ignore
          const sequences = records.map(({ sequence }) => sequence);
          if (found.kind === 'numbers')
            return { first, last: labels.flatMap((name, i) => highestLogo(name, sequences, column(found, i))) };
          const isClass = found.kind === 'classes';
          const right = truths.flatMap((own) => labels.map((_, c) => (isClass ? c === own[0] : own[c] === 1)));
          const curves = curveSections({ names: labels, scores: answers, truths: right });
          if (!isClass) return { first, last: curves };
          const named = records.map((_, row) => {
            const own = answers.subarray(row * labels.length, (row + 1) * labels.length);
            return own.indexOf(Math.max(...own));
          });
          const attended = attendedSequences(labels, found, records);
          const attention = await attentionSections(attended, request, { tokenizer, maxLength });
          return { first, last: [...curves, ...classLogos(labels, sequences, named), ...attention] };
        },
      };
    },
  };
}

/** The answers of one output. */
function column(
  { answers, labels }: Pick<FoundAnswers<never, never, never>, 'answers' | 'labels'>,
  i: number,
): number[] {
  return Array.from({ length: answers.length / labels.length }, (_, row) => answers[row * labels.length + i]!);
}

/** What baselines are compared by: of several numbers each. */
function questionsOf<Target>(found: FoundAnswers<SequenceItem, SequenceRecord, Target>): FrozenQuestion<Target>[] {
  const { kind, labels, answers, thresholds, numbersOf } = found;
  if (kind === 'numbers') {
    return labels.map((name, i) => ({
      kind,
      name: labels.length > 1 ? name : undefined,
      targetOf: (target) => numbersOf(target)[i]!,
      adapted: column(found, i),
    }));
  }
  return [{ kind, outputs: labels.length, ...(thresholds && { thresholds }), targetOf: numbersOf, adapted: answers }];
}

/** Mistakes as a table. */
function mistakes(
  worst: readonly ClassAnswer[],
  { labels, records, text }: ShownMistakes<SequenceRecord>,
): ReportSection {
  return {
    kind: 'table',
    title: 'Worst mistakes',
    text,
    columns: ['sequence', 'class', 'answer', 'probability', 'begins with'],
    rows: worst.map(({ index, truth, answer, confidence }) => {
      const { id, sequence } = records[index]!;
      const start = sequence.length > LETTERS ? `${sequence.slice(0, LETTERS)}…` : sequence;
      return [id, labels[truth]!, labels[answer]!, Number(confidence.toFixed(4)), start];
    }),
  };
}

/** Of the first classes the sequence that is answered best; pairs and long sequences are left out. */
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
