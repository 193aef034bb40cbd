/** @file Finds a model's .onnx files in a folder laid out like a published repository. */

import * as path from '../../platform/path.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { FamilyFiles, FamilyPart, ModelFamily } from '../../plugin/families/family.ts';
import type { FilesToJoin } from '../graph/joinFiles.ts';
import { TO_ONNX } from './hub.ts';
import { type ModelFiles, onnxFolders, plainName } from './modelFiles.ts';

/** Search for files in a folder. */
export interface FileSearch {
  readonly folder: string;
  readonly has: ModelFiles['has'];
  readonly list: ModelFiles['list'];
  readonly published: readonly FamilyFiles[];
  /** Suffix of file names: `fp16` for `model_fp16.onnx`. */
  readonly variant?: string | undefined;
}

/** Published layouts of the families that match a config.json, or of all families without one. */
export function publishedAs(
  families: readonly ModelFamily[],
  config: Readonly<Record<string, unknown>> | undefined,
): FamilyFiles[] {
  const known = families.filter(
    (family) => config?.['model_type'] === undefined || family.matches({ config, modulePaths: [] }),
  );
  // Related families share a layout.
  return [...new Set(known.flatMap(({ files }) => files ?? []))];
}

function placed({ folder, has, variant }: FileSearch, name: string): string | undefined {
  return onnxFolders.map((place) => path.join(folder, place, fileName(name, variant))).find(has);
}

function fileName(name: string, variant: string | undefined): string {
  return `${name}${variant === undefined ? '' : `_${variant}`}.onnx`;
}

/** The file of the whole model, `onnx/model.onnx`, if present. */
export function wholeFile(wanted: FileSearch): string | undefined {
  return placed(wanted, 'model');
}

/** The files of the first layout that the folder holds completely. */
export function filesInFolder(wanted: FileSearch): FilesToJoin | undefined {
  return firstComplete(wanted.published, (part) => {
    return namesOf(part).flatMap((name) => placed(wanted, name) ?? [])[0];
  });
}

/** The named files in the order of the first layout that they complete. */
export function filesNamed(files: readonly string[], published: readonly FamilyFiles[]): FilesToJoin | undefined {
  const found = firstComplete(published, (part) =>
    files.find((file) => namesOf(part).some((name) => isCalled(file, name))),
  );
  return found?.parts.length === files.length ? found : undefined;
}

/** `vision_encoder.onnx`, or a variant such as `vision_encoder_fp16.onnx`. */
function isCalled(file: string, name: string): boolean {
  return new RegExp(`^${name}(?:_(?:fp16|bf16|quantized|u?int8|q\\w+|bnb4))?\\.onnx$`).test(path.basename(file));
}

function firstComplete(
  published: readonly FamilyFiles[],
  find: (part: FamilyPart) => string | undefined,
): FilesToJoin | undefined {
  for (const { parts, outputs } of published) {
    const found = parts.map((part) => ({ part, file: find(part) }));
    if (!found.every(({ part, file }) => part.onlyServes ?? file !== undefined)) continue;
    const joined = new Set(found.flatMap(({ part, file }) => (part.onlyServes ? [] : (file ?? []))));
    const present = found.flatMap(({ part, file }) => {
      // Files of the joined model also serve.
      return file === undefined || (part.onlyServes && joined.has(file)) ? [] : [{ ...part, file }];
    });
    return { parts: present, ...(outputs ? { outputs } : {}) };
  }
  return undefined;
}

function namesOf({ name, alsoNamed = [] }: FamilyPart): readonly string[] {
  return [name, ...alsoNamed];
}

/**
 * The only .onnx file of a folder, such as one tower of a model, or the wanted one of its variants.
 * @param isIncomplete true if parts of a model of several files are missing
 * @throws OnnxLoraError `FILE_NOT_FOUND` if there are none or several
 */
export function onlyFile(wanted: FileSearch, isIncomplete: boolean): string {
  const { folder, variant, list } = wanted;
  const found = list(folder);
  if (found.length === 1 && variant === undefined && !isIncomplete) return found[0]!;
  const [name, ...others] = new Set(found.map(plainName));
  const chosen = name === undefined || others.length > 0 || isIncomplete ? undefined : placed(wanted, name);
  if (chosen !== undefined) return chosen;
  throw new OnnxLoraError('FILE_NOT_FOUND', problemOf(wanted, found));
}

function problemOf(wanted: FileSearch, found: readonly string[]): string {
  const { folder, variant, published } = wanted;
  const names = found.map((file) => path.relative(folder, file)).join(', ');
  const usual = ['onnx/model', 'model'].map((name) => fileName(name, variant)).join(', ');
  if (found.length === 0) return `The folder "${folder}" holds no .onnx file (looked for ${usual}). ${TO_ONNX}`;
  for (const { parts } of published) {
    const needed = parts.filter(({ onlyServes }) => !onlyServes);
    const absent = needed.filter((part) => namesOf(part).every((name) => placed(wanted, name) === undefined));
    if (absent.length === needed.length) continue;
    const missing = absent.map(({ name }) => fileName(name, variant)).join(', ');
    return `The folder "${folder}" holds ${names}, but not ${missing}, without which the files are not a whole model. Add it, or name one of the files.`;
  }
  return variant === undefined
    ? `The folder "${folder}" holds several models: ${names}. Name one of the files.`
    : `The folder "${folder}" holds no variant "${variant}" (looked for ${usual}): it holds ${names}. Leave the variant out, or name one of the files.`;
}
