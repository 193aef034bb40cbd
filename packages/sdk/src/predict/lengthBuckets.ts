/** @file Batches rows of similar length. */

/** Limits of a batch. */
export interface BatchLimits {
  /** Largest number of rows. */
  readonly rows: number;
  /** Largest number of tokens, padding included; a single row may have more. */
  readonly tokens: number;
  /** False if the model does not mask padding, so that rows of a batch must have the same length. */
  readonly isPadded: boolean;
}

/** Batches of row indices, the longest rows first, to reduce padding. */
export function lengthBuckets(lengths: readonly number[], { rows, tokens, isPadded }: BatchLimits): number[][] {
  const order = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]!);
  const batches: number[][] = [];
  for (const row of order) {
    const batch = batches.at(-1);
    const longest = batch && lengths[batch[0]!]!;
    const fits =
      batch &&
      batch.length < rows &&
      (batch.length + 1) * longest! <= tokens &&
      (isPadded || longest === lengths[row]!);
    if (fits) batch.push(row);
    else batches.push([row]);
  }
  return batches;
}
