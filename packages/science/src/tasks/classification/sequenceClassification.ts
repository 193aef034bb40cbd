/** @file Teaches and tests classifiers of sequences. */

import { int64, OnnxLoraError } from '@onnx-lora/sdk';
import {
  type ClassifierOptions,
  classifierParts,
  classMeasure,
  type ClassScores,
  heldOut,
  type Measure,
  type Metrics,
  type PreparedTask,
  softmaxRows,
  type Task,
  type TaskModel,
  unknownLabel,
} from '@onnx-lora/sdk/tasks';
import { heldOutNote } from '../../data/heldOutNote.ts';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { SequenceSource } from '../../data/sequenceSource.ts';
import { type BaselineOptions, hiddenOutput } from '../../report/frozenEmbeddings.ts';
import { frozenSections } from '../../report/frozenSections.ts';
import { type AttendedSequence, attentionSections } from '../attention/attentionSection.ts';
import { openSequenceTask } from '../openSequenceTask.ts';
import { type RecordAnswers, RecordMetrics, recordTargets } from '../recordMetrics.ts';
import { classProbe } from '../ridgeProbe.ts';
import type { SequenceHeadOptions } from '../sequenceHead.ts';
import type { SequenceExample, SequenceTaskOptions } from '../sequenceTask.ts';
import { labelledHead, NOUN } from './labelledHead.ts';
import { classSections } from './classSections.ts';

/** Sequences that are shown, one of a class. */
const SHOWN = 4;

/** Letters of the longest that is shown. */
const LONGEST = 1000;

/** Of the first classes the sequence that is answered best; pairs and long sequences are left out. */
export function attendedSequences(
  labels: readonly string[],
  { answers, truths }: RecordAnswers,
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

/** Options of {@link sequenceClassification}. */
export interface SequenceClassificationOptions
  extends SequenceTaskOptions, SequenceHeadOptions, ClassifierOptions, BaselineOptions {}

/**
 * One class per sequence, or per pair of sequences, such as the family of a protein, or whether two bind. Where the model does
 * not know the classes it gets a new head, which is trained in full and saved with the adapter. Targets are
 * `{ labels: int64 [batch] }`.
 *
 * @example
 * ```ts
 * const task = sequenceClassification('families.csv', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function sequenceClassification(
  source: SequenceSource,
  options: SequenceClassificationOptions = {},
): Task<SequenceExample<number>, SequenceClassScores> {
  return { name: 'sequence-classification', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: SequenceSource,
  {
    head: mode,
    pool,
    labelSmoothing,
    classWeights,
    calibrate = false,
    baselines = true,
    ...options
  }: SequenceClassificationOptions,
): Promise<PreparedTask<SequenceExample<number>, SequenceClassScores>> {
  const task = await openSequenceTask(model, source, { needs: ['label'], ...options });
  const { data } = task;
  const { output, labels, head } = labelledHead(task, source, { head: mode, pool }, (record) => [onlyLabel(record)]);
  const hidden = baselines ? hiddenOutput(model) : undefined;
  const numbers = new Map(labels.map((label, id) => [label, id]));
  const numberOf = (record: SequenceRecord): number => {
    const label = onlyLabel(record);
    const number = numbers.get(label);
    if (number === undefined) throw unknownLabel(record.where, label, labels);
    return number;
  };
  const train = task.dataset(data.train, data.train.map(numberOf), { isTrained: true });
  const validation = data.validation && task.dataset(data.validation, data.validation.map(numberOf));
  const collate: PreparedTask<SequenceExample<number>>['collate'] = async (examples) => ({
    inputs: task.feeds(examples.map(({ row }) => row), examples[0]?.draw !== undefined), // prettier-ignore
    targets: {
      labels: int64(examples.map(({ target }) => target), [examples.length]), // prettier-ignore
      ...recordTargets(examples),
    },
  });
  const { temperature, ...parts } = classifierParts({
    model,
    output,
    labels,
    targets: train.targets,
    validation: validation && {
      dataset: validation,
      collate,
      truths: validation.recordOf.map((record) => validation.targets[record]!),
    },
    noun: NOUN,
    ...(labelSmoothing === undefined ? {} : { labelSmoothing }),
    classWeights,
    calibrate,
  });
  const metrics = (divisor: number = temperature()): RecordMetrics<SequenceClassScores> =>
    new RecordMetrics({
      output,
      labels,
      answerOf: (scores) => softmaxRows(scores.map((score) => score / divisor), labels.length), // prettier-ignore
      truthOf: (targets, row) => [Number(targets['labels']!.data[row])],
      measure: ({ answers, truths }) =>
        shownMeasure(classMeasure({ classes: labels.length, truths: truths.map(([truth]) => truth!), probabilities: answers })), // prettier-ignore
      seed: options.seed ?? 0,
      confusion: (answers) => classConfusion(answers, labels),
    });
  return {
    train,
    ...(validation && { validation }),
    notes: [heldOutNote(data)],
    warnings: data.warnings,
    ...(head && {
      head: {
        ...head,
        probe: (features) => classProbe(features, labels.length, (example) => train.targets[train.recordOf[example]!]!),
      },
    }),
    ...(hidden !== undefined && { outputs: [hidden] }),
    collate,
    ...parts,
    metrics: () => metrics(),
    ...(validation && {
      report: async (request) => {
        const collected = metrics(1);
        for await (const { outputs, targets } of heldOut({ dataset: validation, collate }, request))
          collected.update(outputs, targets);
        const fitted = calibrate ? temperature() : undefined;
        const answers = collected.collected();
        const question = {
          kind: 'classes' as const,
          outputs: labels.length,
          targetOf: (target: number) => target,
          adapted: answers.answers,
        };
        const seed = options.seed ?? 0;
        return [
          ...(hidden === undefined
            ? []
            : await frozenSections({ hidden, train, validation, collate, seed, questions: [question] }, request)),
          ...classSections({ labels, answers, records: validation.records, temperature: fitted }),
          ...(await attentionSections(attendedSequences(labels, answers, validation.records), request, {
            tokenizer: task.tokenizer,
            maxLength: options.maxLength,
          })),
        ];
      },
    }),
  };
}

/** Without what other metrics tell as well: weighted F1, and the means of precision and recall. */
export type SequenceClassScores = Omit<ClassScores, 'weightedF1' | 'macroPrecision' | 'macroRecall'> & Metrics;

function shownMeasure(measure: Measure<ClassScores>): Measure<SequenceClassScores> {
  return (times) => {
    const { accuracy, balancedAccuracy, macroF1, mcc, auroc, auprc, loss } = measure(times);
    return { accuracy, balancedAccuracy, macroF1, mcc, auroc, auprc, loss };
  };
}

/** @throws OnnxLoraError `DATA_INVALID`, naming a record of no or several labels */
function onlyLabel({ labels = [], where }: SequenceRecord): string {
  const [label, ...more] = labels;
  if (label !== undefined && more.length === 0) return label;
  throw new OnnxLoraError(
    'DATA_INVALID',
    more.length > 0
      ? `${where} has ${labels.length} labels (${labels.slice(0, 5).join(', ')}), and sequence classification gives one per sequence. Take the task sequence-labelling.`
      : `${where} has no label. Give it one, or leave the sequence out.`,
  );
}

/** Counts `[true class, predicted class]` of the classes that occur on either side. */
function classConfusion(
  { answers, truths }: RecordAnswers,
  labels: readonly string[],
): { readonly labels: readonly string[]; readonly counts: readonly (readonly number[])[] } {
  const count = labels.length;
  const pairs = truths.map(([truth], row): readonly [number, number] => {
    const own = answers.subarray(row * count, (row + 1) * count);
    return [truth!, own.reduce((best, value, c) => (value > own[best]! ? c : best), 0)];
  });
  const seen = [...new Set(pairs.flat())].sort((a, b) => a - b);
  const counts = seen.map(() => seen.map(() => 0));
  const placeOf = new Map(seen.map((c, i) => [c, i]));
  for (const [truth, answer] of pairs) counts[placeOf.get(truth)!]![placeOf.get(answer)!]!++;
  return { labels: seen.map((c) => labels[c]!), counts };
}
