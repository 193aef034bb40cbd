/** @file `merge` and `unmerge`: one plain .onnx file from a model and adapters. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { Adapter } from '../adapter/adapter.ts';
import type { RoundingError } from '../adapter/editWeights.ts';
import { mergeAdapter } from '../adapter/merge.ts';
import type { PlacedAdapter } from '../adapter/placed.ts';
import { OnnxLoraError } from '../errors.ts';
import { writeOnnx } from '../graph/onnxFile.ts';
import type { Model } from './model.ts';

/** What {@link merge} wrote. */
export interface MergeResult {
  /** The .onnx file, and its `.data` file when the weights exceed what one file can hold. */
  readonly files: readonly string[];
  /** Paths of the modules that changed. */
  readonly modules: readonly string[];
  /** How far each weight of 16 bits or fewer is from the exact sum, which its storage cannot hold. */
  readonly rounding: readonly RoundingError[];
  /** Modules whose weight other layers share: they have a copy of their own now. */
  readonly untied: readonly string[];
  /** Modules whose weight cannot hold the delta, such as grouped convolutions: it is computed beside them. */
  readonly beside: readonly string[];
}

/** Options of {@link merge}. */
export interface MergeOptions {
  /** Accept adapters that say they were trained on other weights. */
  readonly allowBaseMismatch?: boolean;
}

/** An adapter to merge, and how much of it: with weight w W becomes W + w·(what the adapter makes of it − W). */
export interface WeightedAdapter {
  readonly adapter: Adapter;
  readonly weight: number;
}

/** What {@link merge} takes: one adapter or several, each with a weight or whole. */
export type AdaptersToMerge = Adapter | readonly (Adapter | WeightedAdapter)[];

/**
 * Folds adapters into the base's weights, one after the other, and writes a plain .onnx that any runtime opens. Complete or
 * not at all.
 *
 * @example
 * await merge(model, [{ adapter: polite, weight: 0.7 }, { adapter: brief, weight: 0.3 }], 'both.onnx');
 *
 * @throws OnnxLoraError `ADAPTER_MISMATCH`, `MODEL_UNSUPPORTED`, or `FILE_INVALID` when the file cannot be written
 */
export async function merge(
  model: Model,
  adapters: AdaptersToMerge,
  file: string,
  options: MergeOptions = {},
): Promise<MergeResult> {
  return write(model, adapters, file, options, false);
}

/**
 * Takes adapters out of a model that they were merged into, to within rounding: W − s·B·A. With the weights that they were
 * merged with.
 *
 * @param model the merged model
 * @throws OnnxLoraError as {@link merge}, and `MODEL_UNSUPPORTED` for what merging has replaced: DoRA, layers trained in full
 */
export async function unmerge(model: Model, adapters: AdaptersToMerge, file: string): Promise<MergeResult> {
  // The merged weights are not those that the adapter names as its base.
  return write(model, adapters, file, { allowBaseMismatch: true }, true);
}

async function write(
  model: Model,
  adapters: AdaptersToMerge,
  file: string,
  options: MergeOptions,
  isUnmerge: boolean,
): Promise<MergeResult> {
  requireWritable(model, file);
  const all = asList(adapters);
  const placed: PlacedAdapter[] = [];
  for (const { adapter } of all) placed.push(await model.place(adapter, options));
  const {
    model: merged,
    rounding,
    untied,
    beside,
  } = mergeAdapter(model.onnx.model, placed, {
    unmerge: isUnmerge,
    weights: all.map(({ weight }) => weight),
  });
  const files = writeOnnx(file, merged);
  const modules = placed.flatMap((each) => [
    ...each.lowRank.map(({ lowRank }) => lowRank.site.path),
    ...each.trained.map(({ parameter }) => parameter.modulePath),
  ]);
  return { files, modules: [...new Set(modules)], rounding, untied, beside };
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a weight that is no number */
function asList(adapters: AdaptersToMerge): readonly WeightedAdapter[] {
  const list = adapters instanceof Adapter ? [adapters] : adapters;
  return list.map((each) => {
    const { adapter, weight } = each instanceof Adapter ? { adapter: each, weight: 1 } : each;
    if (Number.isFinite(weight)) return { adapter, weight };
    throw new OnnxLoraError('CONFIG_INVALID', `The weight of an adapter must be a number, but it is ${weight}.`);
  });
}

/**
 * Checks that a model can be written to this place, before any work.
 *
 * @throws OnnxLoraError `FILE_INVALID` for the model's own file, `FILE_NOT_FOUND` when there is no such folder
 */
export function requireWritable(model: Model, file: string): void {
  if (existsSync(file) && path.resolve(file) === path.resolve(model.file)) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}" is the base model itself, whose weights are still needed. Write to another file.`,
    );
  }
  if (!existsSync(path.dirname(path.resolve(file)))) {
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `There is no folder "${path.dirname(file)}" to write "${path.basename(file)}" to. Make it first.`,
    );
  }
}
