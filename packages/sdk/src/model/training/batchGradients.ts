/** @file Gradients of a step's batches, and names of examples for messages. */

import { OnnxLoraError } from '../../errors.ts';
import type { Dataset } from '../../plugin/dataset.ts';
import type { PreparedTask } from '../../plugin/preparedTask.ts';
import { wrongRow } from '../../train/graph/expected.ts';
import { GradientMean, type LossAndGradients } from '../../train/step/gradientMean.ts';
import type { Trainer } from '../../train/trainer.ts';
import type { LoadedBatch } from './batchQueue.ts';

/** Loss and gradients, averaged over the batches. Errors name the example with invalid targets. */
export async function gradientsOf(
  batches: readonly LoadedBatch[],
  trainer: Trainer,
  data: PreparedTask,
): Promise<LossAndGradients> {
  if (batches.length === 1) return gradientsOfBatch(batches[0]!, trainer, data);
  const mean = new GradientMean();
  for (const batch of batches) await mean.add(await gradientsOfBatch(batch, trainer, data));
  return mean.value();
}

/** Loss and gradients of a batch. Errors name the example with invalid targets. @param draw as `Trainer` takes it */
export async function gradientsOfBatch(
  { inputs, targets, rows }: LoadedBatch,
  trainer: Trainer,
  { train }: PreparedTask,
  draw?: number,
): Promise<LossAndGradients> {
  try {
    return await trainer.lossAndGradients(inputs, targets, rows, draw);
  } catch (error) {
    const row = wrongRow(error);
    if (row === undefined || !(error instanceof OnnxLoraError)) throw error;
    const message = `${error.message} It is that of ${namesOf(train, [rows[row]!])}.`;
    throw new OnnxLoraError(error.code, message, { cause: error });
  }
}

/** All examples of the batches. */
export function examplesOf(batches: readonly LoadedBatch[]): number[] {
  return batches.flatMap(({ examples }) => examples);
}

/** A batch may hold thousands of examples, each named by a path. */
const MOST = 4;

/** `the examples 3 (photos/a.png) and 17 (photos/b.png)`; of many, three and the number of the others. */
export function namesOf(dataset: Dataset<unknown>, examples: readonly number[]): string {
  const named = examples.slice(0, examples.length > MOST ? MOST - 1 : MOST).map((index) => {
    const name = dataset.nameOf?.(index);
    return name === undefined ? String(index) : `${index} (${name})`;
  });
  if (examples.length > MOST) named.push(`${examples.length - MOST + 1} more`);
  const last = named.pop()!;
  return named.length === 0 ? `the example ${last}` : `the examples ${named.join(', ')} and ${last}`;
}
