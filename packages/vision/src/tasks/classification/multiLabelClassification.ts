/** @file Teaches and tests classifiers of images that may have any number of labels. */

import {
  binaryCrossEntropy,
  float32,
  OnnxLoraError,
  type Prediction,
  type PreparedTask,
  type ReportRequest,
  type Task,
  type TaskModel,
  type Tensor,
} from '@onnx-lora/sdk';
import { listed } from '../../listed.ts';
import type { ImageSource } from '../../data/imageData.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import { heldOut } from './heldOut.ts';
import type { ImageExample } from './imageDataset.ts';
import { labelsOfRecord } from '../../data/recordLabels.ts';
import { batchOf, type ImageTaskOptions, labelsOf, openImageTask } from './imageTask.ts';
import {
  averagePrecisions,
  bestThresholds,
  f1,
  labelCounts,
  MultiLabelMetrics,
  type MultiLabelMetricsOptions,
  probability,
} from './multiLabelMetrics.ts';
import { scoresOf } from './scores.ts';
import { headFor } from './taskHead.ts';

/** Options of {@link multiLabelClassification}. */
export interface MultiLabelOptions extends ImageTaskOptions {
  /**
   * Probability from which a label counts as given: one for all, 0.5 by default; or `tuned`, for each label that of the
   * highest F1 on the held-out images, which is saved with the adapter.
   */
  readonly threshold?: number | 'tuned';
  /** How much a yes counts beside a no in the loss: `balanced` gives the images with a label as much weight as those without. */
  readonly posWeights?: 'balanced' | undefined;
}

/** Which labels each example has: zeros and ones. */
export type LabelVector = readonly number[];

/**
 * Any number of labels per image, of a manifest with a column `labels`, or a column of zeros and ones for each. Binary
 * cross-entropy of each label. Where the model does not know the labels it gets a new head, which is trained in full and
 * saved with the adapter. Needs `preprocessor_config.json` in the model's folder. Targets are `{ labels: float32 [batch, labels] }`.
 *
 * @example
 * ```ts
 * const task = multiLabelClassification('scenes/labels.csv', { validation: 0.2, threshold: 'tuned' });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function multiLabelClassification(
  source: ImageSource,
  options: MultiLabelOptions = {},
): Task<ImageExample<LabelVector>> {
  return { name: 'multi-label-classification', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: ImageSource,
  { threshold = 0.5, posWeights, ...options }: MultiLabelOptions,
): Promise<PreparedTask<ImageExample<LabelVector>>> {
  if (typeof threshold === 'number' && !(threshold > 0 && threshold < 1))
    throw new OnnxLoraError('CONFIG_INVALID', `A threshold is a probability between 0 and 1, but it is ${threshold}.`);
  const task = await openImageTask(model, source, options);
  const { ports, data } = task;
  const names = labelsOf(data.train, data.root);
  const { output, labels, head } = headFor(model, ports, names, { root: data.root, mode: options.head ?? 'auto' });
  const numbers = new Map(labels.map((label, id) => [label, id]));
  const vector = (record: ImageRecord): LabelVector => {
    const own = labels.map(() => 0);
    for (const label of labelsOfRecord(record)) {
      const id = numbers.get(label);
      if (id === undefined) throw strange(record, label, labels);
      own[id] = 1;
    }
    return own;
  };
  const train = task.dataset(data.train, vector);
  const validation = data.validation && task.dataset(data.validation, vector);
  if (threshold === 'tuned' && !validation) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      "threshold: 'tuned' looks for thresholds on held-out images, and none are held out. Hold some out (validation: 0.2), or give a number.",
    );
  }
  const weights = posWeights && positiveWeights(train.targets);
  let thresholds = thresholdsOf(model, labels, typeof threshold === 'number' ? threshold : 0.5);
  const metrics = (): MultiLabelMetrics => new MultiLabelMetrics({ output, labels, thresholds });
  const collate: PreparedTask<ImageExample<LabelVector>>['collate'] = async (examples) => {
    const values = examples.flatMap(({ target }) => target);
    const targets = { labels: float32(values, [examples.length, labels.length]) };
    return batchOf(
      examples.map(({ pixels }) => pixels),
      targets,
      ports,
      model,
    );
  };
  const measured = async (request: ReportRequest): Promise<MultiLabelMetrics> => {
    const collector = metrics();
    for await (const batch of heldOut({ collate }, validation!, request))
      collector.update(batch.outputs, batch.targets);
    return collector;
  };
  return {
    train,
    ...(validation && { validation }),
    ...(data.warnings && { warnings: data.warnings }),
    ...(head && { head }),
    collate,
    loss: (g, outputs, targets) => binaryCrossEntropy(g, outputs[output]!, targets['labels']!, { posWeight: weights }),
    lossWeight: ({ labels: own }) => own!.dims[0]!,
    metrics,
    decode: (outputs) => decodeLabels(outputs, { output, labels, thresholds }),
    ...(threshold === 'tuned' && {
      finish: async (request) => {
        thresholds = bestThresholds((await measured(request)).all);
        return { thresholds: Object.fromEntries(labels.map((label, i) => [label, thresholds[i]!])) };
      },
    }),
    ...(validation && {
      report: async (request) => {
        const { all } = await measured(request);
        const precisions = averagePrecisions(all);
        const counts = labelCounts(all, thresholds);
        const rounded = (value: number): number | string => (Number.isNaN(value) ? '–' : Number(value.toFixed(4)));
        return [
          {
            kind: 'table',
            title: 'Labels',
            columns: ['label', 'images', 'average precision', 'threshold', 'F1'],
            rows: labels.map((label, i) => [label, counts[i]!.images, rounded(precisions[i]!), rounded(thresholds[i]!), rounded(f1(counts[i]!))]), // prettier-ignore
          },
        ];
      },
    }),
  };
}

/**
 * One prediction per row: `{ labels, scores }`, where `labels` are those from their thresholds on, joined by commas, and
 * `scores` the probability of each label.
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

/** Images without a label ÷ images with it; 1 for a label that all or none have. */
function positiveWeights(targets: readonly LabelVector[]): readonly number[] {
  return targets[0]!.map((_, label) => {
    const positives = targets.filter((target) => target[label] === 1).length;
    return positives === 0 || positives === targets.length ? 1 : (targets.length - positives) / positives;
  });
}

function strange({ place }: ImageRecord, label: string, labels: readonly string[]): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${place} is held out with the label "${label}", which none of the images that are trained on has: ${listed(labels, 20)}. Rename it, or remove it.`,
  );
}
