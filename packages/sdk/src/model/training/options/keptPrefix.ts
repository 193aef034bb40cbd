/** @file Decides whether to cache the outputs of frozen layers per example, and how much. */

import { totalmem } from '../../../platform/system.ts';
import { withoutUndefined } from '../../../plugin/withoutUndefined.ts';
import type { Dataset } from '../../../plugin/dataset.ts';
import type { PrefixOptions } from '../../../train/prefix/split.ts';

/**
 * Cache of the frozen layers' outputs per example. `auto` keeps up to 2 GiB in memory, or a quarter of the machine's if
 * less; for examples of varying lengths only if it saves half of the forward pass.
 */
export type CachePrefix = 'auto' | false | { readonly bytes: number; readonly folder?: string };

const MOST_BYTES = 2 * 2 ** 30;
/** For varying lengths: each cached length needs a static graph; one dynamic graph saves more than a short prefix. */
const LEAST_SHARE_OF_LENGTHS = 0.5;

/** The prefix options of the trainer, or the reason for no cache, given the examples that the run reads. */
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
    ...withoutUndefined({ leastShare: areMany ? LEAST_SHARE_OF_LENGTHS : undefined, folder }),
  };
}
