/** @file Reads `config.json` of a model's folder, or from the .onnx file itself. */

import { existsSync, readFileSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { parseForeignJson } from '../../adapter/formats/foreignJson.ts';
import { OnnxLoraError } from '../../errors.ts';
import { decodeText } from '../../files/decodeText.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { isObject, type JsonObject } from '../../data/modelFiles/configFields.ts';

/**
 * Reads a folder's `config.json`; undefined if it has none.
 * @throws OnnxLoraError `CONFIG_INVALID` if it is not a JSON object
 */
export function readModelConfig(folder: string): JsonObject | undefined {
  const file = path.join(folder, 'config.json');
  return existsSync(file)
    ? parsed(decodeText(readFileSync(file), `"${file}"`, 'CONFIG_INVALID'), `"${file}" is`)
    : undefined;
}

/** Metadata key of a merged file's `config.json`, which keeps the labels with the file. */
const CONFIG_KEY = 'onnx_lora.config';

/**
 * Reads the `config.json` that {@link withOwnConfig} wrote into a model's metadata; undefined if it has none.
 * @param file for errors
 * @throws OnnxLoraError `CONFIG_INVALID` if it is not a JSON object
 */
export function ownConfig({ metadataProps = [] }: ModelProto, file: string): JsonObject | undefined {
  const text = metadataProps.find(({ key }) => key === CONFIG_KEY)?.value;
  return text === undefined ? undefined : parsed(text, `The metadata "${CONFIG_KEY}" of "${file}" are`);
}

/** Writes a `config.json` into the model's metadata. */
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
