/** @file Teaches and tests models that may give a sequence any number of labels. */

import {
  heldOut,
  labelMeasure,
  labelTargets,
  type LabelVector,
  labelVector,
  multiLabelParts,
  type MultiLabelPartsOptions,
  type PreparedTask,
  probability,
  type Task,
  type TaskModel,
  type LabelMeasures,
} from '@onnx-lora/sdk/tasks';
import { heldOutNote } from '../../data/heldOutNote.ts';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { SequenceSource } from '../../data/sequenceSource.ts';
import { curveSections } from '../../report/curveSections.ts';
import { type BaselineOptions, hiddenOutput } from '../../report/frozenEmbeddings.ts';
import { frozenSections } from '../../report/frozenSections.ts';
import { openSequenceTask } from '../openSequenceTask.ts';
import { RecordMetrics, recordTargets } from '../recordMetrics.ts';
import { labelProbe } from '../ridgeProbe.ts';
import type { SequenceHeadOptions } from '../sequenceHead.ts';
import type { SequenceExample, SequenceTaskOptions } from '../sequenceTask.ts';
import { labelledHead, NOUN } from './labelledHead.ts';

/** Options of {@link sequenceLabelling}. */
export interface SequenceLabellingOptions
  extends SequenceTaskOptions, SequenceHeadOptions, MultiLabelPartsOptions, BaselineOptions {}

/**
 * Any number of labels per sequence, or per pair of sequences, such as functions or places in the cell: a column that lists
 * them, or a column of 0 and 1 for each. Binary cross-entropy of each label; otherwise as {@link sequenceClassification}.
 * Targets are `{ labels: float32 [batch, labels] }`.
 *
 * @example
 * ```ts
 * const task = sequenceLabelling('functions.csv', { validation: 0.2, threshold: 'tuned' });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function sequenceLabelling(
  source: SequenceSource,
  options: SequenceLabellingOptions = {},
): Task<SequenceExample<LabelVector>, LabelMeasures> {
  return { name: 'sequence-labelling', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: SequenceSource,
  { head: mode, pool, threshold = 0.5, posWeights, baselines = true, ...options }: SequenceLabellingOptions,
): Promise<PreparedTask<SequenceExample<LabelVector>, LabelMeasures>> {
  const task = await openSequenceTask(model, source, { needs: ['labels'], ...options });
  const { data } = task;
  const { output, labels, head } = labelledHead(task, source, { head: mode, pool }, ({ labels: own = [] }) => own);
  const hidden = baselines ? hiddenOutput(model) : undefined;
  const vector = (record: SequenceRecord): LabelVector => labelVector(record.labels ?? [], labels, record.where);
  const train = task.dataset(data.train, data.train.map(vector), { isTrained: true });
  const validation = data.validation && task.dataset(data.validation, data.validation.map(vector));
  const collate: PreparedTask<SequenceExample<LabelVector>>['collate'] = async (examples) => {
    const rows = examples.map(({ row }) => row);
    const vectors = examples.map(({ target }) => target);
    return {
      inputs: task.feeds(rows, examples[0]?.draw !== undefined),
      targets: { ...labelTargets(vectors, labels.length), ...recordTargets(examples) },
    };
  };
  const { thresholds, ...parts } = multiLabelParts({
    model,
    output,
    labels,
    targets: train.targets,
    validation: validation && { dataset: validation, collate },
    noun: NOUN,
    threshold,
    posWeights,
  });
  const metrics = (): RecordMetrics<LabelMeasures> =>
    new RecordMetrics({
      output,
      labels,
      answerOf: (scores) => Float64Array.from(scores, probability),
      truthOf: (targets, row) => labels.map((_, i) => Number(targets['labels']!.data[row * labels.length + i])),
      measure: ({ answers, truths }) =>
        labelMeasure({ labels: labels.length, truths: truths.flat(), probabilities: answers, thresholds: thresholds() }), // prettier-ignore
      seed: options.seed ?? 0,
    });
  return {
    train,
    ...(validation && { validation }),
    notes: [heldOutNote(data)],
    warnings: data.warnings,
    ...(head && {
      head: {
        ...head,
        probe: (features) => labelProbe(features, (example) => train.targets[train.recordOf[example]!]!),
      },
    }),
    ...(hidden !== undefined && { outputs: [hidden] }),
    collate,
    ...parts,
    metrics,
    ...(validation && {
      report: async (request) => {
        const collected = metrics();
        for await (const { outputs, targets } of heldOut({ dataset: validation, collate }, request))
          collected.update(outputs, targets);
        const { answers, truths } = collected.collected();
        const question = {
          kind: 'labels' as const,
          outputs: labels.length,
          thresholds: thresholds(),
          targetOf: (target: LabelVector) => target,
          adapted: answers,
        };
        const seed = options.seed ?? 0;
        return [
          ...(hidden === undefined
            ? []
            : await frozenSections({ hidden, train, validation, collate, seed, questions: [question] }, request)),
          ...((await parts.report?.(request)) ?? []),
          ...curveSections({ names: labels, scores: answers, truths: truths.flat() }),
        ];
      },
    }),
  };
}
