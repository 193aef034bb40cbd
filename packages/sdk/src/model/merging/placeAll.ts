/** @file Adapters to merge, in their places. */

import type { PlacedAdapter } from '../../adapter/naming/place.ts';
import type { Model } from '../loaded/model.ts';
import type { MergeOptions, WeightedAdapter } from './mergeTypes.ts';

/** The places of all adapters in a model, one after the other. */
export async function placeAll(
  model: Model,
  adapters: readonly WeightedAdapter[],
  { allowBaseMismatch = false }: MergeOptions,
): Promise<PlacedAdapter[]> {
  const placed: PlacedAdapter[] = [];
  for (const { adapter } of adapters) placed.push(await model.place(adapter, { allowBaseMismatch }));
  return placed;
}

/** Paths of the modules that an adapter changes. */
export function modulesOf({ tunings }: PlacedAdapter): string[] {
  return tunings.map(({ tuning }) => tuning.path);
}
