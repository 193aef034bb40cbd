/** @file Goes through a dataset batch by batch, and gives batches few different lengths. */

import type { Feeds, Tensor } from '../runtime/tensor.ts';
import type { Batch, Dataset } from '../plugin/dataset.ts';
import type { ReportRequest } from '../plugin/preparedTask.ts';

/** Examples, and how batches are made of them. */
export interface BatchSource<Example> {
  /** The examples. */
  readonly dataset: Dataset<Example>;
  /** Makes a batch of examples. */
  readonly collate: (examples: readonly Example[]) => Promise<Batch>;
}

/** Hears of an example that cannot be loaded, and is left out. */
export type BadExample = (example: number, error: unknown) => void;

/** Examples by their numbers, loaded together. Where nobody hears of one that cannot be loaded, none is. */
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

/** The batches of the examples `indices`, in their order; of all by default. Nothing about them is random. */
export async function* batchesOf<Example>(
  { dataset, collate }: BatchSource<Example>,
  batchSize: number,
  indices: readonly number[] = evenlySpaced(dataset.length),
  onBad?: BadExample,
): AsyncGenerator<{
  /** Numbers of the examples in the dataset. */
  readonly indices: readonly number[];
  /** The examples. */
  readonly examples: readonly Example[];
  /** The batch that they make. */
  readonly batch: Batch;
}> {
  for (let from = 0; from < indices.length; from += batchSize) {
    const loaded = await loadExamples(dataset, indices.slice(from, from + batchSize), onBad);
    if (loaded.length === 0) continue;
    const examples = loaded.map(({ example }) => example);
    yield { indices: loaded.map(({ index }) => index), examples, batch: await collate(examples) };
  }
}

/** Indices below `length`, at most so many, evenly spaced. */
export function evenlySpaced(length: number, most: number = length): number[] {
  const count = Math.min(length, most);
  return Array.from({ length: count }, (_, i) => Math.floor((i * length) / count));
}

/** What the model with the adapter gives for one batch, and what is known of it. */
export interface HeldOutBatch {
  /** The model's outputs by name, `[batch, …]`. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** What `collate` gave beside the feeds. */
  readonly targets: Feeds;
}

/** The batches of a dataset, in its order. */
export async function* heldOut<Example>(
  source: BatchSource<Example>,
  request: Pick<ReportRequest, 'run' | 'batchSize'>,
): AsyncGenerator<HeldOutBatch> {
  for await (const { batch } of batchesOf(source, request.batchSize))
    yield { outputs: await request.run(batch.inputs, 'adapted'), targets: batch.targets };
}

/**
 * The length of the bucket that a length falls into, of few: multiples of `unit` up to 8, and of what it has doubled to beyond, so that there are four for each
 * doubling and no length grows by more than a quarter once it has four units.
 */
export function bucketLength(length: number, unit: number): number {
  let step = unit;
  while (8 * step < length) step *= 2;
  return Math.ceil(length / step) * step;
}
