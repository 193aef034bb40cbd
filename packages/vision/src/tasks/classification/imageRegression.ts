/** @file Teaches and tests models that say numbers about an image. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  heldOut,
  type PreparedTask,
  regressionHead,
  RegressionMetrics,
  type RegressionOptions,
  regressionParts,
  type Task,
  type TaskModel,
  valueNames,
  valueTargets,
  type RegressionScores,
} from '@onnx-lora/sdk/tasks';
import { telling } from '@onnx-lora/sdk/data';
import type { ImageSource } from '../../data/imageData.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import type { ImageExample } from './imageDataset.ts';
import { batchOf, type ImageTaskOptions, openImageTask } from './imageTask.ts';
import { attached } from './taskHead.ts';

/** Options of {@link imageRegression}. */
export interface ImageRegressionOptions extends ImageTaskOptions, RegressionOptions {}

/**
 * One or several numbers per image, of a manifest with columns of values. The model gets a new head, unless its own is one for
 * as many numbers (`problem_type: "regression"`). The loss counts in deviations of the training data; the adapter's head takes
 * its mean and deviation in, so that it answers in the data's own units wherever it is loaded. Needs
 * `preprocessor_config.json` in the model's folder. Targets are `{ values: float32 [batch, numbers] }`.
 *
 * @example
 * ```ts
 * const task = imageRegression('faces/ages.csv', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function imageRegression(
  source: ImageSource,
  options: ImageRegressionOptions = {},
): Task<ImageExample<readonly number[]>, RegressionScores> {
  return { name: 'image-regression', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: ImageSource,
  { loss, ...options }: ImageRegressionOptions,
): Promise<PreparedTask<ImageExample<readonly number[]>, RegressionScores>> {
  const task = await openImageTask(model, source, options);
  const { ports, data } = task;
  const count = valuesOf(telling(data)[0]!).length;
  const target = (record: ImageRecord): readonly number[] => valuesOf(record, count);
  const train = task.dataset(data.train, target);
  const validation = data.validation && task.dataset(data.validation, target);
  const head = regressionHead(model, ports.head, valueNames(count), {
    mode: options.head ?? 'auto',
    attach: attached,
    noun: 'images',
  });
  const { output, labels } = head;
  const collate: PreparedTask<ImageExample<readonly number[]>>['collate'] = async (examples) => {
    const values = examples.map((example) => example.target);
    return batchOf(
      examples.map(({ pixels }) => pixels),
      valueTargets(values, count),
      ports,
      model,
    );
  };
  return {
    train,
    ...(validation && { validation }),
    ...(data.warnings && { warnings: data.warnings }),
    collate,
    ...regressionParts({ head, targets: train.targets, loss }),
    metrics: () => new RegressionMetrics(output, count),
    ...(validation && {
      report: async (request) => {
        const metrics = new RegressionMetrics(output, count);
        for await (const batch of heldOut({ dataset: validation, collate }, request))
          metrics.update(batch.outputs, batch.targets);
        return labels.map((name, i) => ({
          kind: 'scatter' as const,
          title: count === 1 ? 'Predicted and true values' : `Predicted and true: ${name}`,
          x: 'true',
          y: 'predicted',
          series: [{ name, points: metrics.pairs(i) }],
        }));
      },
    }),
  };
}

function valuesOf({ values, place }: ImageRecord, count = values?.length ?? 0): readonly number[] {
  if (values && values.length === count && count > 0 && values.every((value) => Number.isFinite(value))) return values;
  throw new OnnxLoraError(
    'DATA_INVALID',
    values && values.length > 0
      ? `${place} has the values ${values.join(', ')}, and each image needs ${count} finite numbers. Correct them, or leave the image out.`
      : `${place} has no values to predict. Give each image a number in a column of the manifest.`,
  );
}
