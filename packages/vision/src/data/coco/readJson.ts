/** @file Reads a JSON file of a stranger's. */

import { constants } from 'node:buffer';
import { readFile, stat } from 'node:fs/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` when it is too large or no JSON */
export async function readJson(file: string): Promise<unknown> {
  try {
    const { size } = await stat(file);
    if (size > constants.MAX_STRING_LENGTH) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `"${file}" has ${size} bytes, more than can be read at once (${constants.MAX_STRING_LENGTH}). Divide it into several files.`,
      );
    }
    return JSON.parse((await readFile(file, 'utf8')).replace(/^\uFEFF/, ''));
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new OnnxLoraError('FILE_NOT_FOUND', `There is no file "${file}". Check the path.`, { cause });
    throw new OnnxLoraError('DATA_INVALID', `Cannot read "${file}" as JSON: ${message}. Correct the file.`, { cause });
  }
}
