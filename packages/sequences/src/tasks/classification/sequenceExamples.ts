/** @file Datasets of sequences with classes, labels or numbers, and their report sections. */

import {
  type ClassAnswer,
  type Examples,
  type FoundAnswers,
  type ReportSection,
  recordTargets,
  type ShownMistakes,
} from '@onnx-lora/sdk/tasks';
import type { DivideOptions } from '@onnx-lora/sdk/data';
import { type SequenceDomain } from '../../domain.ts';
import { heldOutNote, type SequenceRecord } from '../../record.ts';
import { curveSections } from '../../report/curveSections.ts';
import {
  type BaselineOptions,
  type FrozenQuestion,
  frozenSections,
  hiddenOutput,
} from '../../report/frozenSections.ts';
import { openSequenceTask } from '../openSequenceTask.ts';
import { headOnTokens, ownHead, type SequenceHeadOptions } from '../sequenceHead.ts';
import type { SequenceDataset, SequenceItem, TokenOptions } from '../sequenceTask.ts';

/** Options of tasks with one prediction per sequence. */
export interface WholeOptions extends TokenOptions, SequenceHeadOptions, BaselineOptions {}

/** Rows of the table of mistakes, and letters shown of a sequence, or of a text, which wraps. */
const MISTAKES = 20;
const LETTERS = 40;
const LETTERS_OF_TEXT = 120;

const wanted = { classes: 'label', labels: 'labels', numbers: 'values' } as const;

/** Examples of a domain's sequences or pairs for a task with one prediction each. */
export function sequenceExamples<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  source: Source,
  options: Options & WholeOptions,
): Examples<SequenceItem<R>, R> {
  const { noun, one } = domain;
  const { pool, baselines = true, seed = 0 } = options;
  return {
    noun,
    one,
    root: typeof source === 'string' ? source : 'the data',
    tagging: `${one}-labelling`,
    open: async (model, kind) => {
      const task = await openSequenceTask(domain, model, source, options, wanted[kind]);
      const { data, ports } = task;
      const hidden = baselines ? hiddenOutput(model) : undefined;
      return {
        data,
        notes: [heldOutNote(data, one)],
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
        metrics: {
          classes: ['accuracy', 'balancedAccuracy', 'macroF1', 'mcc', 'auroc', 'auprc', 'loss'],
          labels: ['mAP', 'auroc', 'microF1', 'macroF1', 'mcc'],
          numbers: ['spearman', 'pearson', 'rmse', 'mae', 'r2'],
        },
        mistakes: (worst, shown) => Promise.resolve(mistakes(one, worst.slice(0, MISTAKES), shown)),
        sections: async (found, request) => {
          const { train, validation, collate, labels, answers, truths } = found;
          // Made by `dataset`.
          const [known, held] = [train, validation] as SequenceDataset<never, R>[];
          const first = hidden === undefined ? [] : await frozenSections({ hidden, train: known!, validation: held!, collate, seed, onSequences: domain.baselines, questions: questionsOf(found) }, request); // prettier-ignore
          const own = (await domain.sections?.(found, request, task)) ?? {};
          const isClass = found.kind === 'classes';
          const right = truths.flatMap((each) => labels.map((_, c) => (isClass ? c === each[0] : each[c] === 1)));
          const curves =
            found.kind === 'numbers' ? [] : curveSections({ names: labels, scores: answers, truths: right });
          return { first: [...first, ...(own.first ?? [])], last: [...curves, ...(own.last ?? [])] };
        },
      };
    },
  };
}

/** Predictions of one output. */
export function answersOf(
  { answers, labels }: Pick<FoundAnswers<never, never, never>, 'answers' | 'labels'>,
  i: number,
): number[] {
  return Array.from({ length: answers.length / labels.length }, (_, row) => answers[row * labels.length + i]!);
}

/** Targets to compare with baselines: one per predicted number, otherwise one in total. */
function questionsOf<Target>(
  found: Pick<FoundAnswers<never, never, Target>, 'kind' | 'labels' | 'answers' | 'thresholds' | 'numbersOf'>,
): FrozenQuestion<Target>[] {
  const { kind, labels, answers, thresholds, numbersOf } = found;
  if (kind === 'numbers') {
    return labels.map((name, i) => ({
      kind,
      name: labels.length > 1 ? name : undefined,
      targetOf: (target) => numbersOf(target)[i]!,
      adapted: answersOf(found, i),
    }));
  }
  return [{ kind, outputs: labels.length, ...(thresholds && { thresholds }), targetOf: numbersOf, adapted: answers }];
}

function mistakes(
  one: string,
  worst: readonly ClassAnswer[],
  { labels, records, text }: ShownMistakes<SequenceRecord>,
): ReportSection {
  return {
    kind: 'table',
    title: 'Worst mistakes',
    text,
    columns: [one, 'class', 'answer', 'probability', 'begins with'],
    rows: worst.map(({ index, truth, answer, confidence }) => {
      const { id, sequence } = records[index]!;
      const most = /\s/.test(sequence) ? LETTERS_OF_TEXT : LETTERS;
      const start = sequence.length > most ? `${sequence.slice(0, most)}…` : sequence;
      return [id, labels[truth]!, labels[answer]!, Number(confidence.toFixed(4)), start];
    }),
  };
}
