/** @file What is held out where nobody says so. */

import type { RecordSplit } from './splitRecords.ts';

/**
 * What a split by the fraction `holdOut` gives, if it is fair: undefined of data so small, or of groups so large, that twice as
 * much would have to go, and where what it would hold out cannot be measured.
 */
export function fairHoldOut<Item>(
  split: RecordSplit<Item>,
  holdOut: number,
  canMeasure: (held: readonly Item[]) => boolean = () => true,
): RecordSplit<Item> | undefined {
  const { kept, held } = split;
  const isFair = held.length > 0 && held.length <= 2 * holdOut * (kept.length + held.length) && canMeasure(held);
  return isFair ? split : undefined;
}
