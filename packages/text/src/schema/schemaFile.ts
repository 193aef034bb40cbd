/** @file Reads a JSON schema, inline or from its file. */

import { readFileSync, statSync } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { decodeText, isObject } from '@onnx-lora/sdk/data';
import { notFound } from '@onnx-lora/sdk/plugin';
import { type JsonSchema, readShape } from './jsonShape.ts';

/** Maximum bytes of a schema. */
const LARGEST = 1 << 20;

/**
 * Reads a schema and checks that it is supported.
 * @param given JSON, which begins with a brace, or the path of a file
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `CONFIG_INVALID` for invalid JSON, and as {@link readShape}
 */
export function readSchema(given: string): JsonSchema {
  const isFile = !given.trimStart().startsWith('{');
  const what = isFile ? `"${given}"` : 'The JSON schema';
  const refused = (why: string, cause?: unknown): OnnxLoraError =>
    new OnnxLoraError('CONFIG_INVALID', `${what} ${why}. Give one JSON schema.`, { cause });
  const stat = isFile ? statSync(given, { throwIfNoEntry: false }) : undefined;
  if (isFile && !stat?.isFile()) throw notFound('file', given, { remedy: 'Check the path of the JSON schema.' });
  const size = stat?.size ?? given.length;
  if (size > LARGEST) throw refused(`has ${size} bytes, and a schema has no more than ${LARGEST}`);
  let schema: unknown;
  try {
    schema = JSON.parse(isFile ? decodeText(readFileSync(given), what, 'CONFIG_INVALID') : given);
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    throw refused(`is no JSON: ${(cause as Error).message}`, cause);
  }
  if (!isObject(schema)) throw refused('is no object with keywords');
  readShape(schema, what);
  return schema;
}
