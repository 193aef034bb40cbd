/** @file Reads a vocabulary that has one token a line. */

import { readFile, stat } from 'node:fs/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** The vocabulary of a BERT of a hundred languages has 1 MB. */
const MOST_BYTES = 16 * 2 ** 20;

/**
 * The lines of a text file, without empty ones at the end; undefined where there is no file.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a file that is larger than a vocabulary can be, or cannot be read
 */
export async function readLines(file: string): Promise<readonly string[] | undefined> {
  try {
    const { size } = await stat(file);
    if (size <= MOST_BYTES) {
      const text = await readFile(file, 'utf8');
      return text
        .replace(/^\uFEFF/, '')
        .trimEnd()
        .split(/\r\n|\n|\r/);
    }
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${file}" has ${size} bytes, but a vocabulary has at most ${MOST_BYTES}. Use the file that came with the model.`,
    );
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new OnnxLoraError('CONFIG_INVALID', `Cannot read "${file}": ${(cause as Error).message}. Check the file.`, {
      cause,
    });
  }
}
