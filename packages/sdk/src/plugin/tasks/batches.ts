/** @file Goes through a dataset batch by batch, for reports and for what is learned after training. */

import type { Batch, Dataset } from '../dataset.ts';

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
