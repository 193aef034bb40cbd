/** @file Teaches and tests models that say numbers about a sequence. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  heldOut,
  type Measure,
  numberMeasure,
  type PreparedTask,
  regressionHead,
  type RegressionOptions,
  regressionParts,
  type Task,
  type TaskModel,
  valueNames,
  valueTargets,
  type NumberScores,
} from '@onnx-lora/sdk/tasks';
import { heldOutNote } from '../../data/heldOutNote.ts';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { SequenceSource } from '../../data/sequenceSource.ts';
import { type BaselineOptions, hiddenOutput } from '../../report/frozenEmbeddings.ts';
import { openSequenceTask } from '../openSequenceTask.ts';
import { type RecordAnswers, RecordMetrics, recordTargets } from '../recordMetrics.ts';
import { ridgeProbe } from '../ridgeProbe.ts';
import { headOnTokens, ownHead, type SequenceHeadOptions } from '../sequenceHead.ts';
import type { SequenceExample, SequenceTaskOptions } from '../sequenceTask.ts';
import { regressionSections } from './regressionSections.ts';

/** Options of {@link sequenceRegression}. */
export interface SequenceRegressionOptions
  extends SequenceTaskOptions, SequenceHeadOptions, RegressionOptions, BaselineOptions {}

/**
 * One or several numbers per sequence, or per pair of sequences, such as fitness, solubility or affinity. The model gets a new
 * head, unless its own is one for as many numbers. Where some of several numbers were not measured, they count in neither the
 * loss nor the metrics. The loss counts in deviations of the training data; the adapter's head takes its mean and deviation in,
 * so that it answers in the data's own units wherever it is loaded. Targets are `{ values: float32 [batch, numbers] }`, and
 * `known` where some are lacking.
 *
 * @example
 * ```ts
 * const task = sequenceRegression('gb1.csv');
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function sequenceRegression(
  source: SequenceSource,
  options: SequenceRegressionOptions = {},
): Task<SequenceExample<readonly number[]>, NumberScores> {
  return { name: 'sequence-regression', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: SequenceSource,
  { head: mode = 'auto', pool, loss, baselines = true, ...options }: SequenceRegressionOptions,
): Promise<PreparedTask<SequenceExample<readonly number[]>, NumberScores>> {
  const task = await openSequenceTask(model, source, { needs: ['values'], ...options });
  const { data, ports } = task;
  const measured = (records: readonly SequenceRecord[]): SequenceRecord[] =>
    records.filter(({ values = [] }) => values.some((value) => !Number.isNaN(value)));
  const [train, heldBack] = [measured(data.train), data.validation && measured(data.validation)];
  const count = (train[0] ?? heldBack?.[0])?.values?.length ?? 0;
  if (count === 0)
    throw new OnnxLoraError('DATA_INVALID', 'The data have no numbers to predict. Name the column that has them.');
  const names = data.valueNames?.length === count ? data.valueNames : valueNames(count);
  const head = regressionHead(model, ownHead(model), names, {
    mode,
    attach: headOnTokens(ports, pool),
    noun: 'sequences',
  });
  const { output, labels } = head;
  const hidden = baselines ? hiddenOutput(model) : undefined;
  const targetsOf = (records: readonly SequenceRecord[]): (readonly number[])[] =>
    records.map((record) => valuesOf(record, count));
  const trained = task.dataset(train, targetsOf(train), { isTrained: true });
  const validation = heldBack && task.dataset(heldBack, targetsOf(heldBack));
  const hasGaps = [...train, ...(heldBack ?? [])].some(({ values = [] }) => values.some(Number.isNaN));
  const left = data.train.length - train.length + (data.validation?.length ?? 0) - (heldBack?.length ?? 0);
  const collate: PreparedTask<SequenceExample<readonly number[]>>['collate'] = async (examples) => {
    const rows = examples.map(({ row }) => row);
    const values = examples.map(({ target }) => target);
    return {
      inputs: task.feeds(rows, examples[0]?.draw !== undefined),
      targets: { ...valueTargets(values, count, hasGaps), ...recordTargets(examples) },
    };
  };
  const metrics = (): RecordMetrics<NumberScores> =>
    new RecordMetrics({
      output,
      labels,
      answerOf: (scores) => scores,
      truthOf: ({ values, known }, row) =>
        labels.map((_, i) => (known?.data[row * count + i] === 0 ? Number.NaN : Number(values!.data[row * count + i]))),
      measure: (answers) => meanMeasure(answers, count),
      seed: options.seed ?? 0,
    });
  return {
    train: trained,
    ...(validation && { validation }),
    notes: [heldOutNote(data)],
    warnings: [...data.warnings, ...(left > 0 ? [`${left} sequences without a measured number are left out.`] : [])],
    ...(hidden !== undefined && { outputs: [hidden] }),
    collate,
    ...regressionParts({
      head,
      targets: trained.targets,
      loss,
      probe: (features, standardised) =>
        ridgeProbe(features, (example) => standardised(trained.targets[trained.recordOf[example]!]!)),
    }),
    metrics,
    ...(validation && {
      report: async (request) => {
        const collected = metrics();
        for await (const { outputs, targets } of heldOut({ dataset: validation, collate }, request))
          collected.update(outputs, targets);
        return regressionSections(
          {
            names,
            answers: collected.collected(),
            train: trained,
            validation,
            collate,
            hidden,
            seed: options.seed ?? 0,
          },
          request,
        );
      },
    }),
  };
}

/** Metrics of each number over the records of which it was measured; of several the mean of each metric over them. */
function meanMeasure({ answers, truths }: RecordAnswers, count: number): Measure<NumberScores> {
  const each = Array.from({ length: count }, (_, i) => {
    const known = [...truths.keys()].filter((row) => !Number.isNaN(truths[row]![i]!));
    const measure = numberMeasure(
      known.map((row) => answers[row * count + i]!),
      known.map((row) => truths[row]![i]!),
    );
    return (times?: ArrayLike<number>) => measure(times && known.map((row) => times[row]!));
  });
  return (times) => {
    const found = each.map((measure) => measure(times));
    const names = Object.keys(found[0]!) as (keyof (typeof found)[number])[];
    const means = names.map((name) => [name, found.reduce((sum, own) => sum + own[name], 0) / found.length]);
    return Object.fromEntries(means) as NumberScores;
  };
}

/** @throws OnnxLoraError `DATA_INVALID`, naming the record */
function valuesOf({ values = [], where }: SequenceRecord, count: number): readonly number[] {
  if (values.length === count && values.every((value) => !(Math.abs(value) === Infinity))) return values;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where} has the values ${values.join(', ') || 'none'}, and each sequence needs ${count} finite ${count === 1 ? 'number' : 'numbers'}. Correct it, or leave it out.`,
  );
}
