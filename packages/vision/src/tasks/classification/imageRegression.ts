/** @file Teaches and tests models that say numbers about an image. */

import {
  float32,
  heldOut,
  huber,
  meanSquaredError,
  OnnxLoraError,
  type Prediction,
  type PreparedTask,
  replacedHead,
  scoresOf,
  type Task,
  type TaskHead,
  type TaskModel,
  type Tensor,
} from '@onnx-lora/sdk';
import type { ImageSource } from '../../data/imageData.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import type { ImageExample } from './imageDataset.ts';
import { batchOf, type ImageTaskOptions, openImageTask } from './imageTask.ts';
import type { ImagePorts } from './imagePorts.ts';
import { RegressionMetrics } from './regressionMetrics.ts';
import { attached } from './taskHead.ts';

/** Options of {@link imageRegression}. */
export interface ImageRegressionOptions extends ImageTaskOptions {
  /** Squared errors (`mse`, the default), or `huber`, which is linear beyond one deviation and so minds outliers less. */
  readonly loss?: 'mse' | 'huber' | undefined;
}

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
): Task<ImageExample<readonly number[]>> {
  return { name: 'image-regression', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: ImageSource,
  { loss = 'mse', ...options }: ImageRegressionOptions,
): Promise<PreparedTask<ImageExample<readonly number[]>>> {
  const task = await openImageTask(model, source, options);
  const { ports, data } = task;
  const count = valuesOf(data.train[0]!).length;
  const target = (record: ImageRecord): readonly number[] => valuesOf(record, count);
  const train = task.dataset(data.train, target);
  const validation = data.validation && task.dataset(data.validation, target);
  const { mean, deviation } = moments(train.targets);
  const { output, labels, head } = regressionHead(model, ports, count, options.head ?? 'auto');
  const own = head && { ...head, units: { factor: deviation, offset: mean } };
  const collate: PreparedTask<ImageExample<readonly number[]>>['collate'] = async (examples) => {
    const values = examples.flatMap((example) => example.target);
    const targets = { values: float32(values, [examples.length, count]) };
    return batchOf(
      examples.map(({ pixels }) => pixels),
      targets,
      ports,
      model,
    );
  };
  return {
    train,
    ...(validation && { validation }),
    ...(data.warnings && { warnings: data.warnings }),
    ...(own && { head: own }),
    collate,
    loss: (g, outputs, targets) => {
      const scale = g.constant(float32([...deviation], [1, count]));
      const wanted = g.Div(g.Sub(targets['values']!, g.constant(float32([...mean], [1, count]))), scale);
      // A head of the model's own answers in units of the data already.
      const found = own
        ? outputs[output]!
        : g.Div(g.Sub(outputs[output]!, g.constant(float32([...mean], [1, count]))), scale);
      return loss === 'huber' ? huber(g, found, wanted) : meanSquaredError(g, found, wanted);
    },
    lossWeight: ({ values }) => values!.dims[0]!,
    metrics: () => new RegressionMetrics(output, count),
    decode: (outputs) => decodeValues(outputs, output, labels),
    // By this the model with the adapter is known as one that gives numbers.
    finish: () => Promise.resolve({ problem: 'regression' }),
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

/** One prediction per row: `{ value }`, or `{ values }` by name where there are several. */
export function decodeValues(
  outputs: Readonly<Record<string, Tensor>>,
  output: string,
  names: readonly string[],
): Prediction[] {
  const { rows, classes, data } = scoresOf(outputs, output, names.length);
  return Array.from({ length: rows }, (_, row) => {
    const own = [...data.subarray(row * classes, (row + 1) * classes)];
    if (own.length === 1) return { value: own[0]! };
    return { values: Object.fromEntries(names.map((name, i) => [name, own[i]!])) };
  });
}

/** Whether the model's head gives numbers, not scores of classes. */
function givesNumbers({ config, learned }: TaskModel): boolean {
  return config?.['problem_type'] === 'regression' || learned?.['problem'] === 'regression';
}

/** Names of the numbers: one is `value`. */
export function valueNames(count: number): readonly string[] {
  return count === 1 ? ['value'] : Array.from({ length: count }, (_, i) => `value ${i + 1}`);
}

function regressionHead(
  model: TaskModel,
  { head }: ImagePorts,
  count: number,
  mode: 'auto' | 'new' | 'keep',
): TaskHead {
  const names = valueNames(count);
  if (head && mode !== 'new' && head.outputs === count && (mode === 'keep' || givesNumbers(model)))
    return { output: head.output, labels: names };
  if (mode !== 'keep') return head ? replacedHead(head, names) : attached(model, names);
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The data has ${count} numbers per image, and "${model.name}" gives ${head?.outputs ?? 'none'}. Have it get a new head (head: 'auto').`,
  );
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

/** Mean and deviation of each number; the deviation of one that is always the same counts as 1. */
function moments(targets: readonly (readonly number[])[]): { mean: readonly number[]; deviation: readonly number[] } {
  const columns = targets[0]!.map((_, i) => targets.map((target) => target[i]!));
  const mean = columns.map((column) => column.reduce((a, b) => a + b, 0) / column.length);
  const deviation = columns.map((column, i) => {
    const variance = column.reduce((sum, value) => sum + (value - mean[i]!) ** 2, 0) / column.length;
    return Math.sqrt(variance) || 1;
  });
  return { mean, deviation };
}
