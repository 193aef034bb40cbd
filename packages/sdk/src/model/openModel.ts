/** @file From what a user calls a model to an opened one: a folder, an .onnx file, or an id on the Hugging Face hub. */

import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { OnnxLoraError } from '../errors.ts';
import { openOnnx } from '../graph/onnxFile.ts';
import type { ModelFamily } from '../plugin/family.ts';
import { OrtRuntime } from '../runtime/ort.ts';
import type { Runtime } from '../runtime/session.ts';
import { WorkerRuntime } from '../runtime/workerRuntime.ts';
import { downloadModel, isHubId } from './hub.ts';
import { Model } from './model.ts';
import { readModelConfig } from './readModelConfig.ts';

/** Options of {@link openModel}. */
export interface OpenOptions {
  /** Families that may recognise the model, such as those of `@onnx-lora/vision`. */
  readonly families?: readonly ModelFamily[];
  /**
   * What runs it. By default sessions and training run in a worker thread ({@link WorkerRuntime}), and what asks for it
   * (`worker: false`) in this thread ({@link OrtRuntime}).
   */
  readonly runtime?: Runtime;
  /**
   * Where an exporter folded a batch normalisation into a convolution's weight, as torch's do unless told to keep it: by
   * module path of the convolution, the factor of each output, γ ÷ √(σ² + ε). Adapters are made for the weight without it.
   */
  readonly foldedScales?: Readonly<Record<string, Float32Array>>;
  /** Branch, tag or commit, for a hub id. */
  readonly revision?: string;
  /** Called with the name of each file of a hub id that must be downloaded first. */
  readonly onDownload?: (file: string) => void;
}

/**
 * Opens a model. Its weights stay on disk.
 *
 * @param source a folder laid out like a published repository (`config.json`, `preprocessor_config.json`,
 *   `onnx/model.onnx`), an .onnx file, or a hub id such as `org/name`
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `MODEL_INVALID`, `FILE_INVALID`
 */
export async function openModel(
  source: string,
  { families = [], runtime, foldedScales, revision, onDownload }: OpenOptions = {},
): Promise<Model> {
  const located = existsSync(source) ? source : await fromHub(source, revision, onDownload);
  const isFolder = statSync(located).isDirectory();
  const file = isFolder ? modelFile(located) : located;
  const folder = isFolder ? located : folderOf(located);
  const config = readModelConfig(folder);
  return new Model({
    name: source,
    onnx: openOnnx(file),
    folder,
    ...(config ? { config } : {}),
    ...(foldedScales ? { foldedScales } : {}),
    families,
    runtime: runtime ?? new OrtRuntime(),
    sessionRuntime: runtime ?? new WorkerRuntime(),
  });
}

async function fromHub(source: string, revision?: string, onDownload?: (file: string) => void): Promise<string> {
  if (!isHubId(source)) {
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `There is no file or folder "${source}". Check the path; a model on the hub is named like "org/name".`,
    );
  }
  return downloadModel(source, revision, onDownload);
}

/** Where published repositories put the model, in order of preference. */
const usualPlaces = ['onnx/model.onnx', 'model.onnx'];

function modelFile(folder: string): string {
  for (const place of usualPlaces) {
    if (existsSync(path.join(folder, place))) return path.join(folder, place);
  }
  const found = ['.', 'onnx'].flatMap((sub) => {
    const inside = path.join(folder, sub);
    return existsSync(inside)
      ? readdirSync(inside)
          .filter((name) => name.endsWith('.onnx'))
          .map((name) => path.join(inside, name))
      : [];
  });
  if (found.length === 1) return found[0]!;
  throw new OnnxLoraError(
    'FILE_NOT_FOUND',
    found.length === 0
      ? `The folder "${folder}" holds no .onnx file (looked for ${usualPlaces.join(', ')}). Export the model to ONNX first, for example with optimum-cli export onnx.`
      : `The folder "${folder}" holds several models: ${found.map((file) => path.relative(folder, file)).join(', ')}. Name one of the files.`,
  );
}

/** The repository's folder for a file that lies in it or in its `onnx` folder. */
function folderOf(file: string): string {
  const parent = path.dirname(file);
  return path.basename(path.resolve(parent)) === 'onnx' && !existsSync(path.join(parent, 'config.json'))
    ? path.dirname(path.resolve(parent))
    : parent;
}
