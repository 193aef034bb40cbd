/** @file Merges adapters into a model of several files: a folder with each file under its published name. */

import { existsSync, readFileSync, realpathSync, statSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { OnnxLoraError } from '../../errors.ts';
import { refuseOverwrite } from '../../files/atomicWriter.ts';
import { isInside } from '../../graph/file/insideFolder.ts';
import { commonNote } from '../../adapter/storage/adapterNotes.ts';
import { companionsIn } from '../opening/hub.ts';
import type { MergeOptions, MergeResult, WeightedAdapter } from './mergeTypes.ts';
import type { Model } from '../loaded/model.ts';
import { modelForAdapter } from '../head/forAdapter.ts';
import { INPUT_SIZES_KEY, LEARNED_KEY } from '../graph/modelGraph.ts';
import { type MergedInto, mergeInto, modulesOf, placeAll } from './mergeInto.ts';
import { type MergedToWrite, writeMerged } from './writeMerged.ts';

/**
 * Merges adapters into all parts, including those that only serve, and writes them with companions.
 * @throws OnnxLoraError as `merge`; `FILE_INVALID` for the model's own folder
 */
export async function mergeParts(
  model: Model,
  adapters: readonly WeightedAdapter[],
  folder: string,
  options: MergeOptions,
  isUnmerge: boolean,
): Promise<MergeResult> {
  requireOtherFolder(model, folder);
  const places = model.parts.map((part) => path.join(folder, placeOf(part, model)));
  refuseOverwrite(places, options);
  const headed = adapters.find(({ adapter }) => adapter.notes.head);
  if (headed) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The adapter brings a head of its own, "${headed.adapter.notes.head!.module}", which none of the files of "${model.name}" has a place for. Merge into one file: name one that ends in .onnx.`,
    );
  }
  const whole = withHeadsOf(model, adapters);
  // The joined model has checked the base.
  const changed = new Set((await placeAll(whole, adapters, options)).flatMap(modulesOf));
  const files: MergedToWrite[] = [];
  const merged: MergedInto[] = [];
  for (const [i, part] of model.parts.entries()) {
    const own = withHeadsOf(part, adapters);
    const result = await mergeInto(own, adapters, { ...options, allowBaseMismatch: true }, isUnmerge, newHeads(part, own)); // prettier-ignore
    files.push({ file: places[i]!, model: result.modules.length > 0 ? result.model : part.stored.model, base: own });
    merged.push(result);
  }
  return {
    files: await writeMerged(files, companionsOf(model, folder, mergedConfig(model, whole, isUnmerge ? [] : adapters))),
    modules: [...changed],
    rounding: byModule(merged.flatMap(({ rounding }) => rounding)),
    untied: [...new Set(merged.flatMap(({ untied }) => untied))],
    beside: [...new Set(merged.flatMap(({ beside }) => beside))],
  };
}

/** The model with the heads and labels of these adapters. */
export function withHeadsOf(model: Model, adapters: readonly WeightedAdapter[]): Model {
  return adapters.reduce((headed, { adapter }) => modelForAdapter(headed, adapter), model);
}

/** Paths of the headed model's layers that the base lacks or has in other shapes. */
export function newHeads(base: Model, headed: Model): ReadonlySet<string> {
  const before = new Map(base.sites().map(({ path: own, weightShape }) => [own, weightShape.join()]));
  return new Set(headed.sites().flatMap(({ path: own, weightShape }) => (before.get(own) === weightShape.join() ? [] : [own]))); // prettier-ignore
}

/** `config.json` with labels of adapters, what their tasks have learned, and input sizes; undefined if it stays as it is. */
export function mergedConfig(model: Model, headed: Model, adapters: readonly WeightedAdapter[]): Model['config'] {
  const sizes = configWithSizes(headed, adapters);
  const config = sizes ?? headed.config;
  const { labels, learned } = headed.notes;
  if (headed === model || !config || (!labels && !learned)) return sizes;
  return { ...config, ...(learned && { [LEARNED_KEY]: learned }) };
}

/** A file's place in its folder: `onnx/vision_encoder.onnx`. */
export function placeOf(part: Model, { folder }: Model): string {
  return folder !== undefined && isInside(path.resolve(part.file), path.resolve(folder))
    ? path.relative(folder, part.file)
    : path.basename(part.file);
}

/** config.json (or `config` in its place), tokenizer.json and other companions, for the new folder. */
export function companionsOf(
  { folder }: Model,
  out: string,
  config?: Model['config'],
): (readonly [file: string, bytes: Uint8Array])[] {
  if (folder === undefined) return [];
  return companionsIn(folder).map((name) => {
    const isReplaced = name === 'config.json' && config;
    return [path.join(out, name), isReplaced ? bytesOf(config) : readFileSync(path.join(folder, name))] as const;
  });
}

export function bytesOf(config: NonNullable<Model['config']>): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`);
}

/** The model's `config.json` with the input sizes of these adapters, if they agree; undefined if it stays unchanged. */
export function configWithSizes(
  { config }: Pick<Model, 'config'>,
  adapters: readonly WeightedAdapter[],
): Model['config'] {
  const inputSizes = commonNote(
    adapters.map(({ adapter }) => adapter.notes),
    'inputSizes',
  );
  if (!config || (!inputSizes && !(INPUT_SIZES_KEY in config))) return undefined;
  const { [INPUT_SIZES_KEY]: _, ...others } = config;
  return { ...others, ...(inputSizes && { [INPUT_SIZES_KEY]: inputSizes }) };
}

/** Two decoders of one model hold the same modules. */
function byModule<T extends { readonly module: string }>(all: readonly T[]): T[] {
  return [...new Map(all.map((each) => [each.module, each])).values()];
}

/** @throws OnnxLoraError `FILE_INVALID` for the model's own folder, and for a file */
export function requireOtherFolder(model: Model, folder: string): void {
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory()) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${folder}" is a file, but "${model.name}" has ${model.files.length} files to write. Name a folder, or a file that ends in .onnx for one joined file.`,
    );
  }
  const clash = model.parts.find((part) => {
    const file = path.join(folder, placeOf(part, model));
    return existsSync(file) && realpathSync(file) === realpathSync(part.file);
  });
  if (!clash) return;
  throw new OnnxLoraError(
    'FILE_INVALID',
    `"${folder}" is the base model itself, whose weights are still needed. Write to another folder.`,
  );
}
