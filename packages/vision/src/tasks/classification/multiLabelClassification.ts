/** @file Teaches and tests classifiers of images that may have any number of labels. */

import {
  labelTargets,
  type LabelVector,
  labelVector,
  multiLabelParts,
  type MultiLabelPartsOptions,
  type PreparedTask,
  type Task,
  type TaskModel,
  type MultiLabelScores,
} from '@onnx-lora/sdk/tasks';
import { telling } from '@onnx-lora/sdk/data';
import type { ImageSource } from '../../data/imageData.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import type { ImageExample } from './imageDataset.ts';
import { labelsOfRecord } from '../../data/recordLabels.ts';
import { batchOf, type ImageTaskOptions, labelsOf, openImageTask } from './imageTask.ts';
import { headFor } from './taskHead.ts';

/** Options of {@link multiLabelClassification}. */
export interface MultiLabelOptions extends ImageTaskOptions, MultiLabelPartsOptions {}

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
): Task<ImageExample<LabelVector>, MultiLabelScores> {
  return { name: 'multi-label-classification', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: ImageSource,
  { threshold = 0.5, posWeights, ...options }: MultiLabelOptions,
): Promise<PreparedTask<ImageExample<LabelVector>, MultiLabelScores>> {
  const task = await openImageTask(model, source, options);
  const { ports, data } = task;
  const names = labelsOf(telling(data), data.root);
  const { output, labels, head } = headFor(model, ports, names, { root: data.root, mode: options.head ?? 'auto' });
  const vector = (record: ImageRecord): LabelVector => labelVector(labelsOfRecord(record), labels, record.place);
  const train = task.dataset(data.train, vector);
  const validation = data.validation && task.dataset(data.validation, vector);
  const collate: PreparedTask<ImageExample<LabelVector>>['collate'] = async (examples) => {
    const vectors = examples.map(({ target }) => target);
    return batchOf(
      examples.map(({ pixels }) => pixels),
      labelTargets(vectors, labels.length),
      ports,
      model,
    );
  };
  return {
    train,
    ...(validation && { validation }),
    ...(data.warnings && { warnings: data.warnings }),
    ...(head && { head }),
    collate,
    ...multiLabelParts({
      model,
      output,
      labels,
      targets: train.targets,
      validation: validation && { dataset: validation, collate },
      noun: 'images',
      threshold,
      posWeights,
    }),
  };
}
