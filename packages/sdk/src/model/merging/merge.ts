/** @file `merge` and `unmerge`: fold adapters into a model's weights, and take them out. */

import { compareBytes } from '../../platform/bytes.ts';
import { existsSync, readFileSync, realpathSync, statSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { Adapter } from '../../adapter/adapter.ts';
import { requireOneOwner } from '../../adapter/combine/fullyTrained.ts';
import { partName } from '../../adapter/combine/options.ts';
import { trainedInFull } from '../../adapter/combine/sources.ts';
import { OnnxLoraError } from '../../errors.ts';
import { refuseOverwrite } from '../../files/atomicWriter.ts';
import { knownOptions } from '../../knownOptions.ts';
import { bytesOf, companionsOf, mergedConfig, mergeParts, newHeads, placeOf, withHeadsOf } from './mergeParts.ts';
import { mergeInto } from './mergeInto.ts';
import { mergeCheckpoint } from './mergeCheckpoint.ts';
import type { AdaptersToMerge, MergeOptions, MergeResult, WeightedAdapter } from './mergeTypes.ts';
import type { Model } from '../loaded/model.ts';
import { publishedName } from '../opening/modelFiles.ts';
import { withOwnConfig } from '../opening/readModelConfig.ts';
import { requireAdapters, requireModel, requirePath } from '../loaded/argumentChecks.ts';
import { writeMerged } from './writeMerged.ts';

export type { AdaptersToMerge, MergeOptions, MergeResult, WeightedAdapter } from './mergeTypes.ts';

// prettier-ignore
const requireKnown = knownOptions<MergeOptions>('merge', {
  allowBaseMismatch: true, overwrite: true, requantize: true, format: true,
});
const requireKnownOfUnmerge = knownOptions<Pick<MergeOptions, 'overwrite'>>('unmerge', { overwrite: true });

/**
 * Folds adapters into the base's weights, in order, and writes plain .onnx files that any runtime opens: completely or
 * not at all. If `place` ends in `.onnx`, only that file is written: models of several files become the joined one, and
 * labels go into the file's metadata. Otherwise `place` is a folder, created if missing, that opens like the base's:
 * `model.onnx`, or a tower or a model's several files under their published names, with config.json, tokenizer.json and other
 * companions that tasks need.
 * @example
 * await merge(model, [{ adapter: polite, weight: 0.7 }, { adapter: brief, weight: 0.3 }], 'both.onnx');
 * @throws OnnxLoraError `ADAPTER_MISMATCH`, `MODEL_UNSUPPORTED`; `FILE_INVALID` if the file cannot be written, or
 *   exists without `overwrite`; `INPUT_INVALID` for adapters without a sum, such as two with trained heads;
 *   `RUNTIME_FAILED` if ONNX Runtime rejects the result, which then is not written; `CONFIG_INVALID` for an unknown
 *   option
 */
export async function merge(
  model: Model,
  adapters: AdaptersToMerge,
  place: string,
  options: MergeOptions = {},
): Promise<MergeResult> {
  requireKnown(options);
  return write(model, adapters, place, options, false);
}

/**
 * Takes adapters out of a model that they were merged into, given the same weights. Branches beside layers are removed
 * exactly; in weights the change is subtracted up to rounding: W − s·B·A.
 * @param model the merged model
 * @throws OnnxLoraError as {@link merge}; `MODEL_UNSUPPORTED` for replaced weights (DoRA, layers trained in full), for
 *   quantised weights that would lose more than 4% of the change, and for branches that later merges build on
 */
export async function unmerge(
  model: Model,
  adapters: AdaptersToMerge,
  place: string,
  options: Pick<MergeOptions, 'overwrite'> = {},
): Promise<MergeResult> {
  requireKnownOfUnmerge(options);
  // The merged weights differ from the adapter's recorded base.
  return write(model, adapters, place, { ...options, allowBaseMismatch: true }, true);
}

async function write(
  model: Model,
  adapters: AdaptersToMerge,
  place: string,
  options: MergeOptions,
  isUnmerge: boolean,
): Promise<MergeResult> {
  const taker = isUnmerge ? 'unmerge' : 'merge';
  requireModel(taker, model);
  requireAdapters(taker, adapters);
  requirePath(taker, place);
  const all = asList(adapters);
  const isFolder = !place.endsWith('.onnx');
  if (options.format === 'safetensors') {
    if (isFolder) return mergeCheckpoint(model, all, place, options, isUnmerge);
    const message = `A checkpoint is a folder, and "${place}" ends in .onnx. Name a folder, or leave the format out.`;
    throw new OnnxLoraError('CONFIG_INVALID', message);
  }
  if (isFolder && model.parts.length > 0) return mergeParts(model, all, place, options, isUnmerge);
  // In the base's subfolder (`onnx`), without the variant's suffix.
  const file = isFolder
    ? path.join(place, path.dirname(placeOf(model, model)), `${publishedName(model.file)}.onnx`)
    : place;
  requireWritable(model, file);
  refuseOverwrite([file], options);
  if (!isUnmerge) requireSameHeads(all);
  const own = withHeadsOf(model, all);
  const folder = isFolder ? place : path.dirname(file);
  const config = mergedConfig(model, own, isUnmerge ? [] : all);
  const beside = isFolder ? filesBeside(model, folder, config, options) : new Map<string, Uint8Array>();
  const { model: merged, ...found } = await mergeInto(own, all, options, isUnmerge, newHeads(model, own));
  const described = config ?? own.config;
  const whole = isFolder || !described ? merged : withOwnConfig(merged, { ...described });
  return {
    files: await writeMerged([{ file, model: whole, base: own }], [...beside]),
    modules: found.modules,
    rounding: found.rounding,
    untied: found.untied,
    beside: found.beside,
    ...(own !== model && beside.has(configIn(folder)) ? { config: configIn(folder) } : {}),
  };
}

/** @throws OnnxLoraError `INPUT_INVALID` for adapters whose heads differ, before one could replace another */
function requireSameHeads(adapters: readonly WeightedAdapter[]): void {
  const sources = adapters.map(({ adapter, weight, name: own }, i) => {
    const { name, parameters } = trainedInFull(adapter, partName(own, i, adapters.length));
    // Excludes a tuner's own tensors.
    const heads = [...parameters].filter(([, { parameter }]) => parameter === 'weight' || parameter === 'bias');
    return { name, weight, parameters: new Map(heads), modules: new Set<string>() };
  });
  requireOneOwner(sources, () => false);
}

const configIn = (folder: string): string => path.join(folder, 'config.json');

/**
 * Files for the merged model's folder: the base's companions, and `config.json` with the labels of a new head.
 * @throws OnnxLoraError `FILE_INVALID` if a different file of that name exists
 */
function filesBeside(
  model: Model,
  folder: string,
  config: Model['config'],
  { overwrite }: MergeOptions,
): Map<string, Uint8Array> {
  const files = new Map(companionsOf(model, folder, config));
  if (config) files.set(configIn(folder), bytesOf(config));
  for (const [file, bytes] of files) {
    const isFolder = existsSync(file) && statSync(file).isDirectory();
    if (!isFolder && (overwrite || !existsSync(file) || compareBytes(readFileSync(file), bytes) === 0)) continue;
    if (isFolder)
      throw new OnnxLoraError('FILE_INVALID', `"${file}" is a folder, and a file is to be written there. Remove it, or write to another folder.`); // prettier-ignore
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}" is of another model: the merged one needs one of its own. Write to another folder, or replace it (overwrite: true; --overwrite).`,
    );
  }
  return files;
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a weight that is no finite number */
function asList(adapters: AdaptersToMerge): readonly WeightedAdapter[] {
  const list = adapters instanceof Adapter ? [adapters] : adapters;
  return list.map((each) => {
    const part = each instanceof Adapter ? { adapter: each, weight: 1 } : each;
    if (Number.isFinite(part.weight)) return part;
    throw new OnnxLoraError('CONFIG_INVALID', `The weight of an adapter must be a number, but it is ${part.weight}.`);
  });
}

/** @throws OnnxLoraError `FILE_INVALID` if the file is one of the model's own */
export function requireWritable(model: Model, file: string): void {
  const isOwn = (own: string): boolean => existsSync(own) && realpathSync(own) === realpathSync(file);
  if (existsSync(file) && model.files.some(isOwn)) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}" is the base model itself, whose weights are still needed. Write to another file.`,
    );
  }
}
