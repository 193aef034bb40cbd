/** @file Reads adapters from disk. */

import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { OnnxLoraError } from '../errors.ts';
import { Adapter, BASE_DIGEST, CONFIG_FILE, WEIGHTS_FILE } from './adapter.ts';
import { fromOrtAdapter } from './convert.ts';
import { parseOrtAdapter } from './ortAdapter.ts';
import { parseAdapterConfig } from './peftConfig.ts';
import { readSafetensors } from './safetensors.ts';

/** Larger than any adapter_config.json, small enough to parse at once. */
const MAX_CONFIG_BYTES = 16 << 20;
/** What an .onnx_adapter can address. */
const MAX_ORT_ADAPTER_BYTES = 2 ** 31;
const ORT_ADAPTER_ENDING = '.onnx_adapter';

/**
 * Loads an adapter from a PEFT folder, or from an `.onnx_adapter` whose tensors are named as `saveOnnxAdapter`
 * names them. Pickle files (`adapter_model.bin`) are refused: reading one runs code.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`, or `ADAPTER_INVALID` and `FILE_INVALID` naming the file and the remedy
 */
export async function loadAdapter(source: string): Promise<Adapter> {
  if (!existsSync(source))
    throw new OnnxLoraError('FILE_NOT_FOUND', `There is no adapter "${source}". Check the path.`);
  if (statSync(source).isDirectory()) return loadPeftFolder(source);
  if (source.endsWith(ORT_ADAPTER_ENDING)) return loadOrtAdapter(source);
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `"${source}" is a file; name the PEFT folder that holds ${CONFIG_FILE} and ${WEIGHTS_FILE}, or a file that ends in ${ORT_ADAPTER_ENDING}.`,
  );
}

async function loadOrtAdapter(file: string): Promise<Adapter> {
  if (statSync(file).size > MAX_ORT_ADAPTER_BYTES) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${file}" is larger than 2 GiB, which no ${ORT_ADAPTER_ENDING} can be. Save the adapter again.`,
    );
  }
  return fromOrtAdapter(parseOrtAdapter(await readFile(file), file), file);
}

async function loadPeftFolder(folder: string): Promise<Adapter> {
  const configFile = path.join(folder, CONFIG_FILE);
  const weightsFile = path.join(folder, WEIGHTS_FILE);
  if (!existsSync(configFile)) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${folder}" holds no ${CONFIG_FILE}: it is not an adapter that PEFT or onnx-lora has saved. Name the folder that holds it, with ${WEIGHTS_FILE} beside it.`,
    );
  }
  if (!existsSync(weightsFile)) {
    const pickle = existsSync(path.join(folder, 'adapter_model.bin'));
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      pickle
        ? `"${folder}" holds its weights as a pickle (adapter_model.bin), which can run code when it is read. Save it again in PEFT with safe_serialization=True.`
        : `"${folder}" holds no ${WEIGHTS_FILE}. Copy it there too.`,
    );
  }
  const config = parseAdapterConfig(await readJson(configFile), configFile);
  const { tensors, metadata } = await readSafetensors(weightsFile);
  return new Adapter(config, tensors, metadata[BASE_DIGEST]);
}

async function readJson(file: string): Promise<unknown> {
  if (statSync(file).size > MAX_CONFIG_BYTES) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${file}" is larger than ${MAX_CONFIG_BYTES >> 20} MB, which no adapter config is.`,
    );
  }
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (cause) {
    throw new OnnxLoraError('ADAPTER_INVALID', `"${file}" is not valid JSON: ${(cause as Error).message}.`, { cause });
  }
}
