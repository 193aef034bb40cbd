/** @file Reads the file of a JSON schema. */

import { readFileSync, statSync } from 'node:fs';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { decodeText, isObject } from '@onnx-lora/sdk/data';
import { notFound } from '@onnx-lora/sdk/plugin';
import { type JsonSchema, readShape } from './jsonShape.ts';

/** Bytes of a schema. */
const LARGEST = 1 << 20;

/**
 * The schema in a file, which is one that can be kept to.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `CONFIG_INVALID` for what is no JSON, and as {@link readShape}
 */
export function readSchemaFile(path: string): JsonSchema {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isFile()) throw notFound('file', path, { remedy: 'Check the path of the JSON schema.' });
  const refused = (what: string, cause?: unknown): OnnxLoraError =>
    new OnnxLoraError('CONFIG_INVALID', `"${path}" ${what}. Give a file with one JSON schema.`, { cause });
  if (stat.size > LARGEST) throw refused(`has ${stat.size} bytes, and a schema has no more than ${LARGEST}`);
  let schema: unknown;
  try {
    schema = JSON.parse(decodeText(readFileSync(path), `"${path}"`, 'CONFIG_INVALID'));
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    throw refused(`is no JSON: ${(cause as Error).message}`, cause);
  }
  if (!isObject(schema)) throw refused('is no object with keywords');
  readShape(schema, `"${path}"`);
  return schema;
}
