/** @file Removes branches that merging added beside layers. */

import {
  type BranchRecord,
  branchDigest,
  branchRecords,
  withoutLastBranches,
} from '../../adapter/merging/branchRecord.ts';
import type { PlacedAdapter } from '../../adapter/naming/place.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { Model } from '../loaded/model.ts';
import { modulesOf, placeAll } from './placeAll.ts';
import type { MergeOptions, WeightedAdapter } from './mergeTypes.ts';

/** A merged model without the branches of some adapters. */
export interface TakenOut {
  readonly model: Model;
  /** The rest of the adapters, to be subtracted from weights. */
  readonly placed: readonly PlacedAdapter[];
  /** Paths of the modules whose branches were removed. */
  readonly modules: readonly string[];
}

/**
 * Removes the branches of these adapters. Branches of several merges build on each other, so the last must come out
 * first; those of one merge come out together.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` if others would have to come out too, or the file was rewritten since
 */
export async function takeOutBranches(
  merged: Model,
  adapters: readonly WeightedAdapter[],
  options: MergeOptions,
): Promise<TakenOut> {
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
      `"${model.name}" has had other adapters merged into it since, and what they compute stands on what is to be taken out. Take those out first.`,
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
