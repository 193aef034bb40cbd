/** @file Translates the `sampling` option to the sampler's order. */

import { sha256 } from '../../../platform/hash.ts';
import { OnnxLoraError } from '../../../errors.ts';
import type { Dataset } from '../../../plugin/dataset.ts';
import { checkedWeights, type OrderOptions, ShuffledBatches } from '../../../train/sampling/sampler.ts';

/** Each example once, every class equally often, each once in batches of similar length, or by weights. */
export type Sampling = 'uniform' | 'balanced' | 'length' | readonly number[];

/** @throws OnnxLoraError `CONFIG_INVALID` for invalid weights, and for a task without the classes or lengths needed */
export function samplingOrder(
  sampling: Sampling | undefined,
  { weights, lengths, length }: Dataset<unknown>,
  batchLength?: number,
): OrderOptions {
  if (batchLength !== undefined && !(batchLength > 0))
    throw invalid(`batchLength must be above 0, but it is ${batchLength}.`);
  if (batchLength !== undefined && sampling !== 'length')
    throw invalid("batchLength says how long batches of examples of one length may be, and needs sampling: 'length'.");
  if (sampling === undefined || sampling === 'uniform') return {};
  if (Array.isArray(sampling)) return { weights: checkedWeights(sampling, length, 'sampling') };
  if (sampling === 'balanced') {
    if (weights) return { weights: checkedWeights(weights, length, "The task's dataset") };
    throw invalid(
      "sampling: 'balanced' draws every class equally often, but this task has no classes. Leave it out, or give a weight per example.",
    );
  }
  if (sampling === 'length') {
    if (lengths?.length === length && lengths.every((each) => each >= 0))
      return { lengths, ...(batchLength === undefined ? {} : { batchLength }) };
    throw invalid(
      lengths
        ? `The task's dataset has ${lengths.length} lengths for ${length} examples, or some that are no numbers of at least 0. Give one for each.`
        : "sampling: 'length' makes batches of examples of about one length, but this task's data do not say how long examples are. Leave it out, or say it in the data.",
    );
  }
  throw invalid(
    `sampling is 'uniform', 'balanced', 'length' or a list of weights, but it is ${JSON.stringify(sampling)}.`,
  );
}

/** A short digest of the order; undefined for `uniform`. */
export function digestOfOrder({ weights, lengths, batchLength }: OrderOptions): string | undefined {
  const numbers = weights ?? lengths;
  if (!numbers) return undefined;
  const digest = sha256().update(Float64Array.from(numbers)).digest('hex').slice(0, 16);
  return weights ? digest : `length ${digest}${batchLength === undefined ? '' : ` ${batchLength}`}`;
}

/** Mean number of examples per batch over the first epoch. */
export function meanBatchSize(length: number, batchSize: number, seed: number, order: OrderOptions): number {
  if (order.batchLength === undefined) return batchSize;
  const sampler = new ShuffledBatches(length, batchSize, seed, order);
  let batches = 0;
  for (; sampler.drawn < length; batches++) sampler.next();
  return sampler.drawn / batches;
}

function invalid(message: string): OnnxLoraError {
  return new OnnxLoraError('CONFIG_INVALID', message);
}
