/** @file Batches of a dataset for evaluation, and bucketing of lengths. */

import type { Feeds, Tensor } from '../runtime/tensor.ts';
import type { Batch, Dataset, MetricCollector } from '../plugin/dataset.ts';
import type { ReportRequest } from '../plugin/preparedTask.ts';

/** A dataset and its collation. */
export interface BatchSource<Example> {
  /** The examples. */
  readonly dataset: Dataset<Example>;
  /** Makes a batch from examples. */
  readonly collate: (examples: readonly Example[]) => Promise<Batch>;
}

/** Called for an example that cannot be loaded, to skip it. */
export type BadExample = (example: number, error: unknown) => void;

/** Loads examples concurrently. Without `onBad`, an example that cannot be loaded rejects all. */
export async function loadExamples<Example>(
  dataset: Dataset<Example>,
  indices: readonly number[],
  onBad?: BadExample,
): Promise<{ readonly index: number; readonly example: Example }[]> {
  const load = async (index: number): Promise<{ index: number; example: Example }> => ({
    index,
    example: await dataset.get(index),
  });
  if (!onBad) return Promise.all(indices.map(load));
  const results = await Promise.allSettled(indices.map(load));
  return results.flatMap((result, i) => {
    if (result.status === 'fulfilled') return [result.value];
    onBad(indices[i]!, result.reason);
    return [];
  });
}

/** Batches of the examples `indices`, in order; of all by default. Nothing is random. */
export async function* batchesOf<Example>(
  { dataset, collate }: BatchSource<Example>,
  batchSize: number,
  indices: readonly number[] = evenlySpaced(dataset.length),
  onBad?: BadExample,
): AsyncGenerator<{
  /** Indices of the examples in the dataset. */
  readonly indices: readonly number[];
  /** The examples. */
  readonly examples: readonly Example[];
  /** The collated batch. */
  readonly batch: Batch;
}> {
  for (let from = 0; from < indices.length; from += batchSize) {
    const loaded = await loadExamples(dataset, indices.slice(from, from + batchSize), onBad);
    if (loaded.length === 0) continue;
    const examples = loaded.map(({ example }) => example);
    yield { indices: loaded.map(({ index }) => index), examples, batch: await collate(examples) };
  }
}

/** Up to `most` indices below `length`, evenly spaced. */
export function evenlySpaced(length: number, most: number = length): number[] {
  const count = Math.min(length, most);
  return Array.from({ length: count }, (_, i) => Math.floor((i * length) / count));
}

/** Outputs of the adapted model for one batch, with its targets. */
export interface HeldOutBatch {
  /** The model's outputs by name, `[batch, …]`. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Targets from `collate`. */
  readonly targets: Feeds;
}

/** Runs the adapted model on a dataset, batch by batch. */
export async function* heldOut<Example>(
  source: BatchSource<Example>,
  request: Pick<ReportRequest, 'run' | 'batchSize'>,
): AsyncGenerator<HeldOutBatch> {
  for await (const { batch } of batchesOf(source, request.batchSize))
    yield { outputs: await request.run(batch.inputs, 'adapted'), targets: batch.targets };
}

/** Adds the adapted model's outputs for a dataset to a collector, and returns the collector. */
export async function measure<Example, Collector extends Pick<MetricCollector, 'update'>>(
  collector: Collector,
  source: BatchSource<Example>,
  request: Pick<ReportRequest, 'run' | 'batchSize'>,
): Promise<Collector> {
  for await (const { outputs, targets } of heldOut(source, request)) collector.update(outputs, targets);
  return collector;
}

/**
 * Rounds a length up to one of few buckets: multiples of `unit` up to 8, then four per doubling, so that no length of at
 * least four units grows by more than a quarter.
 */
export function bucketLength(length: number, unit: number): number {
  let step = unit;
  while (8 * step < length) step *= 2;
  return Math.ceil(length / step) * step;
}
