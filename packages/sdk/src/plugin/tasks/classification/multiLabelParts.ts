/** @file What tasks with any number of labels per example share, whatever the examples are. */

import { OnnxLoraError } from '../../../errors.ts';
import { type Feeds, float32, type Tensor } from '../../../runtime/tensor.ts';
import { binaryCrossEntropy } from '../../../train/losses/index.ts';
import type { Prediction } from '../../predictor.ts';
import type { PreparedTask, ReportRequest } from '../../preparedTask.ts';
import type { ReportSection } from '../../reportSection.ts';
import type { TaskModel } from '../../taskModel.ts';
import type { BatchSource } from '../batches.ts';
import { heldOut } from '../heldOut.ts';
import { listed } from '../listed.ts';
import {
  averagePrecisions,
  bestThresholds,
  f1,
  labelCounts,
  MultiLabelMetrics,
  type MultiLabelMetricsOptions,
  type MultiLabelScores,
  probability,
} from './multiLabelMetrics.ts';
import { scoresOf } from './scores.ts';

/** Which labels an example has: zeros and ones. */
export type LabelVector = readonly number[];

/** Options of tasks with any number of labels per example. */
export interface MultiLabelPartsOptions {
  /**
   * Probability from which a label counts as given: one for all, 0.5 by default; or `tuned`, for each label that of the
   * highest F1 on the held-out examples, which is saved with the adapter.
   */
  readonly threshold?: number | 'tuned';
  /** How much a yes counts beside a no in the loss: `balanced` gives the examples with a label as much weight as those without. */
  readonly posWeights?: 'balanced' | undefined;
}

/** What the parts are made from. */
export interface MultiLabelRequest<Example> extends MultiLabelPartsOptions {
  /** The model that is adapted. */
  readonly model: TaskModel;
  /** The graph output `[batch, labels]`, and the names of the labels. */
  readonly output: string;
  /** Names of the labels, in the order of the output. */
  readonly labels: readonly string[];
  /** The labels of each example that is trained on. */
  readonly targets: readonly LabelVector[];
  /** Held-out examples: those of which thresholds are learned, where these are wanted. */
  readonly validation?: BatchSource<Example> | undefined;
  /** What examples are called in messages, in the plural: `images`. */
  readonly noun: string;
}

/** Parts of a {@link PreparedTask}. */
export type MultiLabelParts = Pick<PreparedTask<unknown, MultiLabelScores>, 'loss' | 'metrics' | 'finish' | 'report'> &
  Required<Pick<PreparedTask, 'lossWeight'>> & {
    /** From which probability each label counts as given; `finish` changes them where they are tuned. */
    readonly thresholds: () => readonly number[];
  };

/**
 * Loss, metrics and report. Targets are `{ labels: float32 [batch, labels] }` of zeros and ones.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a threshold that is no probability, and other weights; `DATA_INVALID` where
 *   thresholds are to be tuned and nothing is held out
 */
export function multiLabelParts<Example>(request: MultiLabelRequest<Example>): MultiLabelParts {
  const { model, output, labels, targets, validation, noun, threshold = 0.5, posWeights } = request;
  if (typeof threshold === 'number' && !(threshold > 0 && threshold < 1))
    throw new OnnxLoraError('CONFIG_INVALID', `A threshold is a probability between 0 and 1, but it is ${threshold}.`);
  if (typeof threshold !== 'number' && threshold !== 'tuned')
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `threshold is a number between 0 and 1, or "tuned", but it is ${JSON.stringify(threshold)}.`,
    );
  if (posWeights !== undefined && posWeights !== 'balanced')
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `posWeights is "balanced", or left out, but it is ${JSON.stringify(posWeights)}.`,
    );
  if (threshold === 'tuned' && !validation) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `threshold: 'tuned' looks for thresholds on held-out ${noun}, and none are held out. Hold some out (validation: 0.2), or give a number.`,
    );
  }
  const weights = posWeights && positiveWeights(targets);
  let thresholds = thresholdsOf(model, labels, typeof threshold === 'number' ? threshold : 0.5);
  const metrics = (): MultiLabelMetrics => new MultiLabelMetrics({ output, labels, thresholds });
  const measured = async (finished: ReportRequest): Promise<MultiLabelMetrics> => {
    const collector = metrics();
    for await (const batch of heldOut(validation!, finished)) collector.update(batch.outputs, batch.targets);
    return collector;
  };
  return {
    thresholds: () => thresholds,
    loss: (g, outputs, truths) => binaryCrossEntropy(g, outputs[output]!, truths['labels']!, { posWeight: weights }),
    lossWeight: ({ labels: own }) => own!.dims[0]!,
    metrics,
    ...(threshold === 'tuned' && {
      finish: async (finished) => {
        thresholds = bestThresholds((await measured(finished)).all);
        return { thresholds: Object.fromEntries(labels.map((label, i) => [label, thresholds[i]!])) };
      },
    }),
    ...(validation && {
      report: async (finished) => [labelTable(await measured(finished), labels, thresholds, noun)],
    }),
  };
}

/** Targets of a batch: float32 `[batch, labels]`. */
export function labelTargets(vectors: readonly LabelVector[], labels: number): Feeds {
  return { labels: float32(vectors.flat(), [vectors.length, labels]) };
}

/**
 * Zeros and ones for the labels of one example.
 *
 * @param place what the example is called
 * @throws OnnxLoraError `DATA_INVALID` for a label that is not among them
 */
export function labelVector(own: Iterable<string>, labels: readonly string[], place: string): LabelVector {
  const given = new Set(own);
  const strange = [...given].find((label) => !labels.includes(label));
  if (strange === undefined) return labels.map((label) => (given.has(label) ? 1 : 0));
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place} has the label "${strange}", which is none of those that are learned: ${listed(labels, 20)}. Rename it, or remove it.`,
  );
}

function labelTable(
  { all }: MultiLabelMetrics,
  labels: readonly string[],
  thresholds: readonly number[],
  noun: string,
): ReportSection {
  const precisions = averagePrecisions(all);
  const counts = labelCounts(all, thresholds);
  const rounded = (value: number): number | string => (Number.isNaN(value) ? '–' : Number(value.toFixed(4)));
  return {
    kind: 'table',
    title: 'Labels',
    columns: ['label', noun, 'average precision', 'threshold', 'F1'],
    rows: labels.map((label, i) => [label, counts[i]!.examples, rounded(precisions[i]!), rounded(thresholds[i]!), rounded(f1(counts[i]!))]), // prettier-ignore
  };
}

/** Examples without a label ÷ examples with it; 1 for a label that all or none have. */
function positiveWeights(targets: readonly LabelVector[]): readonly number[] {
  return targets[0]!.map((_, label) => {
    const positives = targets.filter((target) => target[label] === 1).length;
    return positives === 0 || positives === targets.length ? 1 : (targets.length - positives) / positives;
  });
}

/**
 * One prediction per row: `{ labels, scores }`, where `labels` are those from their thresholds on, joined by commas, and
 * `scores` the probability of each label.
 *
 * @throws OnnxLoraError `INPUT_INVALID` when the output is missing or of another shape; `LOSS_NOT_FINITE` when a score
 *   is NaN or infinite
 */
export function decodeLabels(
  outputs: Readonly<Record<string, Tensor>>,
  { output, labels, thresholds }: MultiLabelMetricsOptions,
): Prediction[] {
  const { rows, classes, data } = scoresOf(outputs, output, labels.length);
  return Array.from({ length: rows }, (_, row) => {
    const scores = labels.map((_label, i) => probability(data[row * classes + i]!));
    return {
      labels: labels.filter((_label, i) => scores[i]! >= thresholds[i]!).join(', '),
      scores: Object.fromEntries(labels.map((label, i) => [label, scores[i]!])),
    };
  });
}

/** The thresholds that were saved with the adapter; for labels without one, the usual one. */
export function thresholdsOf({ learned }: TaskModel, labels: readonly string[], usual: number): readonly number[] {
  const saved = learned?.['thresholds'];
  const known = new Map(typeof saved === 'object' && saved !== null ? Object.entries(saved) : []);
  return labels.map((label) => {
    const own: unknown = known.get(label);
    return typeof own === 'number' ? own : usual;
  });
}
