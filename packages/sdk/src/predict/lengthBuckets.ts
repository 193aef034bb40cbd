/** @file Which rows are computed together. */

/** What a batch may be. */
export interface BatchLimits {
  /** Most rows. */
  readonly rows: number;
  /** Most tokens, padding included; a single row may have more. */
  readonly tokens: number;
  /** False where the model cannot tell padding from tokens, so that rows of a batch must be equally long. */
  readonly isPadded: boolean;
}

/** Batches of rows by their numbers, the longest rows first, so that little of a batch is padding. */
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
