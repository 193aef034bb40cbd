/** @file A model's graph with adapters merged in, or taken out, branches beside layers included. */

import { type MergedModel, mergeAdapter } from '../../adapter/merging/merge.ts';
import { requireUnchanged } from '../../graph/bytes.ts';
import { slicesOf } from '../../graph/file/onnxFile.ts';
import type { Model } from '../loaded/model.ts';
import type { MergeOptions, WeightedAdapter } from './mergeTypes.ts';
import {
  type BranchRecord,
  branchDigest,
  branchRecords,
  withoutLastBranches,
} from '../../adapter/merging/branchRecord.ts';
import type { PlacedAdapter } from '../../adapter/naming/place.ts';
import { OnnxLoraError } from '../../errors.ts';

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

/**
 * Removes the branches of these adapters. Branches of several merges build on each other, so the last must come out
 * first; those of one merge come out together. `placed` is the rest of the adapters, to be subtracted from weights.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` if others would have to come out too, or the file was rewritten since
 */
async function takeOutBranches(
  merged: Model,
  adapters: readonly WeightedAdapter[],
  options: MergeOptions,
): Promise<Pick<MergedInto, 'modules'> & { readonly model: Model; readonly placed: readonly PlacedAdapter[] }> {
  let model = merged;
  const slots = adapters.map(() => new Set<string>());
  const modules: string[] = [];
  let left = adapters.map((_, i) => i);
  for (
    let record = branchRecords(model.stored.model).at(-1);
    record;
    record = branchRecords(model.stored.model).at(-1)
  ) {
    const before = model.derived({ model: withoutLastBranches(model.stored.model, model.file) });
    const placed = await placeAll(before, adapters, options);
    const found = holders(record, placed, adapters, left);
    if (found.length === 0) {
      await requireNotBelow(before, adapters, left, options);
      break;
    }
    if (found.length < record.adapters.length) throw togetherWith(record, merged);
    for (const i of found) for (const slot of record.slots) slots[i]!.add(slot);
    modules.push(...found.flatMap((i) => modulesOf(placed[i]!)));
    left = left.filter((i) => !found.includes(i));
    model = before;
  }
  const placed = (await placeAll(model, adapters, options)).map((each, i) => ({
    ...each,
    tunings: each.tunings.filter(({ tuning }) => !slots[i]!.has(tuning.slot)),
  }));
  return { model, placed, modules: [...new Set(modules)] };
}

/** The remaining adapters that a record names. */
function holders(
  { adapters: recorded, slots }: BranchRecord,
  placed: readonly PlacedAdapter[],
  adapters: readonly WeightedAdapter[],
  left: readonly number[],
): number[] {
  const has = new Set(slots);
  const free = left.map((i) => ({
    i,
    weight: adapters[i]!.weight,
    sha256: branchDigest(placed[i]!.tunings.filter(({ tuning }) => has.has(tuning.slot))),
  }));
  return recorded.flatMap(({ sha256, weight }) => {
    const at = free.findIndex((each) => each.sha256 === sha256 && each.weight === weight);
    return at < 0 ? [] : [free.splice(at, 1)[0]!.i];
  });
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` if other branches build on those of the adapters */
async function requireNotBelow(
  model: Model,
  adapters: readonly WeightedAdapter[],
  left: readonly number[],
  options: MergeOptions,
): Promise<void> {
  let below = model;
  for (const record of branchRecords(model.stored.model).toReversed()) {
    below = below.derived({ model: withoutLastBranches(below.stored.model, below.file) });
    if (holders(record, await placeAll(below, adapters, options), adapters, left).length === 0) continue;
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" has had other adapters merged into it since, and they build on the one to remove. Remove those first.`,
    );
  }
}

function togetherWith({ adapters }: BranchRecord, { name }: Model): OnnxLoraError {
  const weights = adapters.map(({ weight }) => String(weight)).join(', ');
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `${adapters.length} adapters were merged into "${name}" together, with the weights ${weights}, and have one branch beside each layer. Take them out together, each with its weight.`,
  );
}

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
