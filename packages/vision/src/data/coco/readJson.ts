/** @file Reads a JSON file of a stranger's. */

import { readFile } from 'node:fs/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { notFound } from '@onnx-lora/sdk/plugin';

/** @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` when it is no JSON */
export async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse((await readFile(file, 'utf8')).replace(/^\uFEFF/, ''));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw notFound('file', file, { cause });
    throw new OnnxLoraError('DATA_INVALID', `Cannot read "${file}" as JSON: ${message}. Correct the file.`, { cause });
  }
}
