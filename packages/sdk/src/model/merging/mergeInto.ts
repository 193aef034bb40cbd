/** @file A model's graph with adapters merged in, or taken out. */

import { type MergedModel, mergeAdapter } from '../../adapter/merging/merge.ts';
import { requireUnchanged } from '../../graph/bytes.ts';
import { slicesOf } from '../../graph/file/onnxFile.ts';
import type { Model } from '../loaded/model.ts';
import type { MergeOptions, WeightedAdapter } from './mergeTypes.ts';
import { modulesOf, placeAll } from './placeAll.ts';
import { takeOutBranches } from './takeOut.ts';

/** A merged graph with the paths of changed modules. */
export interface MergedInto extends MergedModel {
  readonly modules: readonly string[];
}

/** The share of a change that a quantised weight may lose to rounding; twice that for unmerging, which rounds again. */
const MAY_LOSE = 0.02;

/** Merges adapters into a model's graph, or takes them out: weights, and branches beside layers. */
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
