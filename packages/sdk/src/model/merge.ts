/** @file `merge` and `unmerge`: one plain .onnx file from a model and adapters. */

import { existsSync, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { Adapter } from '../adapter/adapter.ts';
import { writeFileAtomic } from '../adapter/atomicFile.ts';
import { mergeAdapter } from '../adapter/merge.ts';
import type { PlacedAdapter } from '../adapter/placed.ts';
import { OnnxLoraError } from '../errors.ts';
import { writeOnnx } from '../graph/onnxFile.ts';
import { modelFor } from './head/forAdapter.ts';
import { mergeParts } from './mergeParts.ts';
import type { AdaptersToMerge, MergeOptions, MergeResult, WeightedAdapter } from './mergeTypes.ts';
import { LEARNED_KEY, type Model } from './model.ts';

export type { AdaptersToMerge, MergeOptions, MergeResult, WeightedAdapter } from './mergeTypes.ts';

/**
 * Folds adapters into the base's weights, one after the other, and writes a plain .onnx that any runtime opens. Complete or
 * not at all.
 *
 * A model of several files becomes a folder: `place` gets each file under the name that it is published by, and config.json
 * and its like. Where `place` ends in `.onnx` it becomes one file, the joined one.
 *
 * @example
 * await merge(model, [{ adapter: polite, weight: 0.7 }, { adapter: brief, weight: 0.3 }], 'both.onnx');
 *
 * @throws OnnxLoraError `ADAPTER_MISMATCH`, `MODEL_UNSUPPORTED`, or `FILE_INVALID` when the file cannot be written
 */
export async function merge(
  model: Model,
  adapters: AdaptersToMerge,
  place: string,
  options: MergeOptions = {},
): Promise<MergeResult> {
  return write(model, adapters, place, options, false);
}

/**
 * Takes adapters out of a model that they were merged into, to within rounding: W − s·B·A. With the weights that they were
 * merged with.
 *
 * @param model the merged model
 * @throws OnnxLoraError as {@link merge}, and `MODEL_UNSUPPORTED` for what merging has replaced: DoRA, layers trained in full
 */
export async function unmerge(model: Model, adapters: AdaptersToMerge, place: string): Promise<MergeResult> {
  // The merged weights are not those that the adapter names as its base.
  return write(model, adapters, place, { allowBaseMismatch: true }, true);
}

async function write(
  model: Model,
  adapters: AdaptersToMerge,
  file: string,
  options: MergeOptions,
  isUnmerge: boolean,
): Promise<MergeResult> {
  const all = asList(adapters);
  if (model.parts.length > 0 && !file.endsWith('.onnx')) return mergeParts(model, all, file, options, isUnmerge);
  requireWritable(model, file);
  const own = all.reduce((headed, { adapter }) => modelFor<Model>(headed, adapter), model);
  const config = own === model ? undefined : configFor(own, file);
  const placed: PlacedAdapter[] = [];
  for (const { adapter } of all) placed.push(await own.place(adapter, options));
  const {
    model: merged,
    rounding,
    untied,
    beside,
  } = mergeAdapter(own.onnx.model, placed, {
    unmerge: isUnmerge,
    weights: all.map(({ weight }) => weight),
  });
  const files = writeOnnx(file, merged);
  if (config) await writeFileAtomic(config.path, config.text);
  const modules = placed.flatMap((each) => [
    ...each.lowRank.map(({ lowRank }) => lowRank.site.path),
    ...each.tuned.map(({ tuned }) => tuned.site.path),
    ...each.trained.map(({ parameter }) => parameter.modulePath),
  ]);
  return {
    files,
    modules: [...new Set(modules)],
    rounding,
    untied,
    beside,
    ...(config ? { config: config.path } : {}),
  };
}

/**
 * The `config.json` with the labels of a new head, for beside the merged model.
 *
 * @throws OnnxLoraError `FILE_INVALID` where that of another model is there
 */
function configFor(
  { config, notes }: Model,
  file: string,
): { readonly path: string; readonly text: string } | undefined {
  if (!config || !notes.labels) return undefined;
  const place = path.join(path.dirname(file), 'config.json');
  const learned = notes.learned ? { [LEARNED_KEY]: notes.learned } : {};
  const text = `${JSON.stringify({ ...config, ...learned }, null, 2)}\n`;
  if (!existsSync(place) || readFileSync(place, 'utf8') === text) return { path: place, text };
  throw new OnnxLoraError(
    'FILE_INVALID',
    `"${place}" is the config of another model, and the merged one needs one of its own for its ${notes.labels.length} labels. Write it to another folder.`,
  );
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
  if (isOneOf(model.files, file)) {
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

/** Whether a path leads to one of the files, also through links. */
function isOneOf(files: readonly string[], file: string): boolean {
  return existsSync(file) && files.some((own) => existsSync(own) && realpathSync(own) === realpathSync(file));
}
