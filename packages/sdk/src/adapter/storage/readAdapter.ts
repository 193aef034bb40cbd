/** @file Reads adapters from disk. */

import { existsSync, readdirSync, readFile, statSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { OnnxLoraError } from '../../errors.ts';
import { decodeText } from '../../files/decodeText.ts';
import { fileIdentity } from '../../files/fileIdentity.ts';
import { settle } from '../../files/swapFolder.ts';
import { parseNotes } from './adapterNotes.ts';
import { Adapter, BASE_DIGEST, CONFIG_FILE, WEIGHTS_FILE } from '../adapter.ts';
import { fromOrtAdapter } from './convert.ts';
import { type JsonBudget, parseForeignJson } from '../formats/foreignJson.ts';
import { parseOrtAdapter } from '../formats/ortAdapter.ts';
import { type AdapterConfig, parseAdapterConfig } from '../formats/peftConfig.ts';
import { floatsOf } from '../formats/pythonJson.ts';
import { requireConfigMatchesTensors } from '../formats/reconcile.ts';
import { readSafetensors, type Safetensors } from '../formats/safetensors.ts';
import { INDEX_FILE, readShards } from './shardedWeights.ts';
import { PEFT_PREFIX } from '../formats/tensorNames.ts';
import { notFound } from '../../files/notFound.ts';

/** PEFT's former file of tensors. */
export const PICKLE_FILE = 'adapter_model.bin';

/** Larger than any adapter_config.json, yet parsed quickly. */
const MAX_CONFIG_BYTES = 16 << 20;
/** Enough for ranks of every module, and AdaLoRA's flags per rank. */
const CONFIG_BUDGET: JsonBudget = { keys: 10_000, values: 100_000 };
const MAX_ORT_ADAPTER_BYTES = 2 ** 31;
const ORT_ADAPTER_ENDING = '.onnx_adapter';

/**
 * Reads a PEFT folder, with tensors in one file or several with an index, or an `.onnx_adapter` with the names of
 * `saveOnnxAdapter`. Rejects pickles (`adapter_model.bin`): reading one runs code.
 * @param maxTensors limit per safetensors file; by default as the format
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `ADAPTER_INVALID` and `FILE_INVALID` with file and remedy
 */
export async function readAdapter(source: string, maxTensors?: number): Promise<Adapter> {
  if (!existsSync(source)) throw notFound('adapter', source);
  const stat = statSync(source);
  if (stat.isDirectory()) return readPeftFolder(source, maxTensors);
  if (stat.isFile() && source.endsWith(ORT_ADAPTER_ENDING)) return readOrtAdapter(source);
  if (source.endsWith('.onnx')) throw isModel(source, 'it is an .onnx file');
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `"${source}" is a file; name the PEFT folder that holds ${CONFIG_FILE} and ${WEIGHTS_FILE}, or a file that ends in ${ORT_ADAPTER_ENDING}.`,
  );
}

function isModel(source: string, since: string): OnnxLoraError {
  return new OnnxLoraError(
    'ADAPTER_INVALID',
    `"${source}" is a model and no adapter: ${since}. A merged model is opened as the model, without the adapter that is in it; else name the adapter's folder.`,
  );
}

async function readOrtAdapter(file: string): Promise<Adapter> {
  if (statSync(file).size > MAX_ORT_ADAPTER_BYTES) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${file}" is larger than 2 GiB, which no ${ORT_ADAPTER_ENDING} can be. Save the adapter again.`,
    );
  }
  return fromOrtAdapter(parseOrtAdapter(await readFile(file), file), file);
}

const ATTEMPTS = 5;

/** Reads a folder consistently: entirely before or after another save. */
async function readPeftFolder(folder: string, maxTensors: number | undefined): Promise<Adapter> {
  settle(folder);
  for (let attempt = 1; ; attempt++) {
    const before = filesNow(folder);
    let adapter: Adapter;
    try {
      adapter = await readFiles(folder, maxTensors);
    } catch (cause) {
      if (attempt < ATTEMPTS && filesNow(folder) !== before) continue;
      throw cause;
    }
    if (attempt === ATTEMPTS || filesNow(folder) === before) return adapter;
  }
}

function filesNow(folder: string): string {
  return [CONFIG_FILE, WEIGHTS_FILE, INDEX_FILE]
    .map((name) => statSync(path.join(folder, name), { bigint: true, throwIfNoEntry: false }))
    .map((found) => (found ? fileIdentity(found) : 'none'))
    .join();
}

/** A model's file in a folder, such as `onnx/text_model.onnx`. */
function graphIn(folder: string): string | undefined {
  const within = (place: string): string[] => {
    const inside = path.join(folder, place);
    const names = existsSync(inside) && statSync(inside).isDirectory() ? readdirSync(inside) : [];
    return names.filter((name) => name.endsWith('.onnx')).map((name) => `${place}${name}`);
  };
  const found = [...within('onnx/'), ...within('')];
  return found.find((name) => path.basename(name) === 'model.onnx') ?? found[0];
}

async function readFiles(folder: string, maxTensors: number | undefined): Promise<Adapter> {
  const configFile = path.join(folder, CONFIG_FILE);
  if (!existsSync(configFile)) {
    const model = graphIn(folder);
    if (model !== undefined) throw isModel(folder, `it holds ${model}, and no ${CONFIG_FILE}`);
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${folder}" holds no ${CONFIG_FILE}, so it is not an adapter of PEFT or onnx-lora. Name the folder with it and ${WEIGHTS_FILE} beside it.`,
    );
  }
  const text = await readText(configFile);
  const config = withFloats(parseAdapterConfig(parsedJson(text, configFile, CONFIG_BUDGET), configFile), text);
  const { tensors, metadata } = await readWeights(folder, maxTensors);
  const twice = [...tensors.keys()].find((name) => !name.startsWith(PEFT_PREFIX) && tensors.has(PEFT_PREFIX + name));
  if (twice !== undefined) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${folder}" holds the tensor "${twice}" twice, with "${PEFT_PREFIX}" before its name and without. Save the adapter again.`,
    );
  }
  requireConfigMatchesTensors({ config, tensors }, `"${configFile}"`);
  return new Adapter(config, tensors, metadata[BASE_DIGEST], parseNotes(metadata, folder));
}

/** Records the integers that Python wrote as floats. */
function withFloats(config: AdapterConfig, text: string): AdapterConfig {
  const floats = floatsOf(text).filter((key) => !key.endsWith('_dropout'));
  return floats.length === 0 ? config : { ...config, floats };
}

async function readWeights(folder: string, maxTensors: number | undefined): Promise<Safetensors> {
  const [whole, index] = [WEIGHTS_FILE, INDEX_FILE].map((name) => path.join(folder, name)) as [string, string];
  if (existsSync(whole)) return readSafetensors(whole, maxTensors);
  if (existsSync(index)) return readShards(parsedJson(await readText(index), index), index, maxTensors);
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    existsSync(path.join(folder, PICKLE_FILE))
      ? `"${folder}" holds its weights as a pickle (${PICKLE_FILE}), which can run code when it is read. Save it again in PEFT with safe_serialization=True.`
      : `"${folder}" holds no ${WEIGHTS_FILE}. Copy it there too.`,
  );
}

async function readText(file: string): Promise<string> {
  if (statSync(file).size > MAX_CONFIG_BYTES) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${file}" is larger than ${MAX_CONFIG_BYTES >> 20} MB, which no config and no index of an adapter is.`,
    );
  }
  return decodeText(await readFile(file), `"${file}"`, 'ADAPTER_INVALID');
}

function parsedJson(text: string, file: string, budget?: JsonBudget): unknown {
  try {
    return parseForeignJson(text, budget);
  } catch (cause) {
    throw new OnnxLoraError('ADAPTER_INVALID', `"${file}" is not valid JSON: ${(cause as Error).message}.`, { cause });
  }
}
