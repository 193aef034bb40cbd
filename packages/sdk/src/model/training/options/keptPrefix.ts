/** @file Whether a run keeps what its frozen layers give for each example, and how much of it. */

import { totalmem } from 'node:os';
import type { Dataset } from '../../../plugin/dataset.ts';
import type { PrefixOptions } from '../../../train/prefix/prefixOptions.ts';

/**
 * What a run keeps of the layers below the lowest trained one. `auto` keeps up to 2 GiB in memory, or a quarter of the
 * machine's where that is less; of examples of many lengths only where it is half of the forward pass.
 */
export type CachePrefix = 'auto' | false | { readonly bytes: number; readonly folder?: string };

const MOST_BYTES = 2 * 2 ** 30;
/** Where examples have many lengths: a graph beyond a prefix is for one length, and one for all lengths saves more than less of it does. */
const LEAST_SHARE_OF_LENGTHS = 0.5;

/**
 * The settings of the trainer, or the reason why nothing is kept.
 *
 * @param reads how many examples the whole run reads
 */
export function keptPrefix(wanted: CachePrefix, data: Dataset<unknown>, reads: number): PrefixOptions | string {
  if (wanted === false) return 'cachePrefix is false';
  if (!data.isDeterministic)
    return 'the data does not say that an example is the same each time it is read (isDeterministic)';
  if (reads <= data.length) return 'the run reads each example only once';
  const { bytes, folder } =
    wanted === 'auto' ? { bytes: Math.min(MOST_BYTES, totalmem() / 4), folder: undefined } : wanted;
  const { length: examples, changingInputs: changing = [], lengths = [] } = data;
  const areMany = wanted === 'auto' && lengths.some((length) => length !== lengths[0]);
  return {
    bytes,
    examples,
    changing,
    ...(areMany ? { leastShare: LEAST_SHARE_OF_LENGTHS } : {}),
    ...(folder === undefined ? {} : { folder }),
  };
}
