/** @file `config.json` of a model's folder, or of the model's own file. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseForeignJson } from '../../adapter/formats/foreignJson.ts';
import { OnnxLoraError } from '../../errors.ts';
import { decodeText } from '../../files/decodeText.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { isObject, type JsonObject } from '../../data/modelFiles/configFields.ts';

/**
 * Reads the `config.json` of a folder laid out like a published repository.
 *
 * @returns undefined where the folder has none
 * @throws OnnxLoraError `CONFIG_INVALID` when it is not a JSON object
 */
export function readModelConfig(folder: string): JsonObject | undefined {
  const file = path.join(folder, 'config.json');
  return existsSync(file)
    ? parsed(decodeText(readFileSync(file), `"${file}"`, 'CONFIG_INVALID'), `"${file}" is`)
    : undefined;
}

/** Where a merged .onnx file has its `config.json`, so that its labels are with it wherever it goes. */
const CONFIG_KEY = 'onnx_lora.config';

/**
 * The `config.json` that {@link withOwnConfig} has put into a model's metadata.
 *
 * @param file for errors
 * @returns undefined where the model has none
 * @throws OnnxLoraError `CONFIG_INVALID` when it is not a JSON object
 */
export function ownConfig({ metadataProps = [] }: ModelProto, file: string): JsonObject | undefined {
  const text = metadataProps.find(({ key }) => key === CONFIG_KEY)?.value;
  return text === undefined ? undefined : parsed(text, `The metadata "${CONFIG_KEY}" of "${file}" are`);
}

/** The model with a `config.json` in its metadata, in place of one that is there. */
export function withOwnConfig(model: ModelProto, config: Readonly<Record<string, unknown>>): ModelProto {
  const others = (model.metadataProps ?? []).filter(({ key }) => key !== CONFIG_KEY);
  return { ...model, metadataProps: [...others, { key: CONFIG_KEY, value: JSON.stringify(config) }] };
}

function parsed(text: string, what: string): JsonObject {
  try {
    const config = parseForeignJson(text);
    if (isObject(config)) return config;
    throw new Error('it is not an object');
  } catch (cause) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `${what} not readable as JSON: ${(cause as Error).message}. Download it again.`,
      { cause },
    );
  }
}
