/** @file A model's graph with adapters merged into it, or taken out. */

import { type MergedModel, mergeAdapter } from '../../adapter/merging/merge.ts';
import { requireUnchanged } from '../../graph/bytes.ts';
import { slicesOf } from '../../graph/file/onnxFile.ts';
import type { Model } from '../loaded/model.ts';
import type { MergeOptions, WeightedAdapter } from './mergeTypes.ts';
import { modulesOf, placeAll } from './placeAll.ts';
import { takeOutBranches } from './takeOut.ts';

/** A model with adapters in it, or out of it, and the paths of the modules that changed. */
export interface MergedInto extends MergedModel {
  readonly modules: readonly string[];
}

/**
 * What of the change a quantised weight may lose to rounding. What merging has rounded within it, taking out may round once
 * more.
 */
const MAY_LOSE = 0.02;

/** A model's graph with adapters in it, or out of it: of weights, and of what merging has put beside layers. */
export async function mergeInto(
  model: Model,
  adapters: readonly WeightedAdapter[],
  options: MergeOptions,
  isUnmerge: boolean,
  newHeads?: ReadonlySet<string>,
): Promise<MergedInto> {
  requireUnchanged(slicesOf(model.stored.model));
  const from = isUnmerge
    ? await takeOutBranches(model, adapters, options)
    : { model, placed: await placeAll(model, adapters, options), modules: [] };
  const mayLose = options.requantize ? Infinity : isUnmerge ? 2 * MAY_LOSE : MAY_LOSE;
  const merged = mergeAdapter(from.model.onnx.model, from.placed, {
    unmerge: isUnmerge,
    weights: adapters.map(({ weight }) => weight),
    names: adapters.map(({ name }) => name),
    ...(newHeads && { newHeads }),
    mayLose,
  });
  return { ...merged, modules: [...new Set([...from.modules, ...from.placed.flatMap(modulesOf)])] };
}
