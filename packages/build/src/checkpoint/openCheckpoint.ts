/** @file Opens a checkpoint of the Hugging Face libraries: `config.json` and safetensors headers. */

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { type JsonObject, readJsonObject, readSentencePooling, type SentencePooling } from '@onnx-lora/sdk/data';
import { notFound, openSafetensors, openShards, type StoredTensor } from '@onnx-lora/sdk/plugin';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** The content of a checkpoint's folder. */
export interface Checkpoint {
  /** The folder. */
  readonly folder: string;
  /** `config.json`. */
  readonly config: JsonObject;
  /** `preprocessor_config.json`, if present. */
  readonly preprocessor?: JsonObject;
  /** Tensors by stored name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Pooling of a sentence-transformers repository. */
  readonly pooling?: SentencePooling;
}

const CONFIG = 'config.json';
const PREPROCESSOR = 'preprocessor_config.json';
const WEIGHTS = 'model.safetensors';
const INDEX = `${WEIGHTS}.index.json`;
/** Weights as pickles, or of other frameworks. */
const OTHER_WEIGHTS = /^(?:pytorch_model.*\.bin(?:\.index\.json)?|.*\.(?:pt|pth|ckpt|h5|msgpack))$/;
/** Size limit of a JSON file; an index names every tensor. */
const MOST_JSON = 50_000_000;

/** Whether a folder holds a checkpoint: a `config.json`, and weights of any kind. */
export function isCheckpoint(folder: string): boolean {
  if (!existsSync(path.join(folder, CONFIG))) return false;
  const entries = readdirSync(folder);
  return entries.some((name) => name === WEIGHTS || name === INDEX || OTHER_WEIGHTS.test(name)); // prettier-ignore
}

/**
 * Opens a checkpoint without reading weights.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `CONFIG_INVALID`; `FILE_INVALID` for a damaged file and for pickled weights
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const pooling = await readSentencePooling(folder, 'Remove modules.json to have the model without them.');
  const preprocessor = await readJsonObject(path.join(folder, PREPROCESSOR), MOST_JSON, 'a checkpoint');
  const parts = { ...(pooling && { pooling }), ...(preprocessor && { preprocessor }) };
  return { folder, config: await objectIn(folder, CONFIG), tensors: await tensorsIn(folder), ...parts };
}

async function tensorsIn(folder: string): Promise<Checkpoint['tensors']> {
  const entries = readdirSync(folder);
  if (entries.includes(WEIGHTS)) return openSafetensors(path.join(folder, WEIGHTS));
  if (entries.includes(INDEX)) return openShards(await objectIn(folder, INDEX), path.join(folder, INDEX));
  const other = entries.find((name) => OTHER_WEIGHTS.test(name));
  if (other === undefined) {
    const message = `The checkpoint "${folder}" has no ${WEIGHTS} and no ${INDEX}. Copy its weights too.`;
    throw new OnnxLoraError('FILE_NOT_FOUND', message);
  }
  throw new OnnxLoraError(
    'FILE_INVALID',
    `The checkpoint "${folder}" has its weights as "${other}" alone. ${TORCH_WEIGHTS.test(other) ? `A pickle can run any code that its author put in, so it is never opened here. torch reads the numbers alone (weights_only). Convert them once: ${inPython(folder, other)}` : 'Convert them once in Python: load the checkpoint with its class in transformers 4, and call save_pretrained.'}`,
  );
}

/** Pickles of torch. */
const TORCH_WEIGHTS = /\.(?:bin|bin\.index\.json|pt|pth|ckpt)$/;

/** Command that converts a pickle or its shards to safetensors under the same names, without model classes. */
function inPython(folder: string, name: string): string {
  const files = path.join(folder, name.startsWith('pytorch_model') ? 'pytorch_model*.bin' : name);
  const [pattern, out] = [files, path.join(folder, WEIGHTS)].map((each) => JSON.stringify(each));
  return `python -c 'import glob, torch, safetensors.torch as st; st.save_file({k: v.contiguous().clone() for f in glob.glob(${pattern}) for k, v in torch.load(f, map_location="cpu", weights_only=True).items()}, ${out}, {"format": "pt"})'`;
}

async function objectIn(folder: string, name: string): Promise<JsonObject> {
  const file = path.join(folder, name);
  const json = await readJsonObject(file, MOST_JSON, 'a checkpoint');
  if (json) return json;
  throw notFound('file', file);
}
