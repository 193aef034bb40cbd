/** @file Goes through a dataset batch by batch, for reports and for what is learned after training. */

import type { Batch, Dataset } from '../dataset.ts';

/** Examples, and how batches are made of them. */
export interface BatchSource<Example> {
  /** The examples. */
  readonly dataset: Dataset<Example>;
  /** Makes a batch of examples. */
  readonly collate: (examples: readonly Example[]) => Promise<Batch>;
}

/** The batches of the examples `indices`, in their order; of all by default. Nothing about them is random. */
export async function* batchesOf<Example>(
  { dataset, collate }: BatchSource<Example>,
  batchSize: number,
  indices: readonly number[] = evenlySpaced(dataset.length),
): AsyncGenerator<{
  /** Numbers of the examples in the dataset. */
  readonly indices: readonly number[];
  /** The examples. */
  readonly examples: readonly Example[];
  /** The batch that they make. */
  readonly batch: Batch;
}> {
  for (let from = 0; from < indices.length; from += batchSize) {
    const own = indices.slice(from, from + batchSize);
    const examples = await Promise.all(own.map((index) => dataset.get(index)));
    yield { indices: own, examples, batch: await collate(examples) };
  }
}

/** Indices below `length`, at most so many, evenly spaced. */
export function evenlySpaced(length: number, most: number = length): number[] {
  const count = Math.min(length, most);
  return Array.from({ length: count }, (_, i) => Math.floor((i * length) / count));
}
