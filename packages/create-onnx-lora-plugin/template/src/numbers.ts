/** @file Reads a sample: a text file with one number in each line. Change: the format of your files. */

import { readFile } from 'node:fs/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';

/**
 * The numbers of a file, in order.
 * @param count how many there must be
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming file and line
 */
export async function readNumbers(file: string, count: number): Promise<Float32Array> {
  const text = await readFile(file, 'utf8').catch((cause: Error) => {
    throw new OnnxLoraError('FILE_NOT_FOUND', `"${file}" cannot be read: ${cause.message}. Check the path.`, { cause });
  });
  const lines = text.trimEnd().split(/\r?\n/);
  const numbers = Float32Array.from(lines, (line) => (line.trim() === '' ? NaN : Number(line)));
  const bad = numbers.findIndex((number) => !Number.isFinite(number));
  if (bad >= 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}", line ${bad + 1}: expected a number, found "${lines[bad]!.slice(0, 40)}". Correct the line.`,
    );
  }
  if (numbers.length !== count) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" holds ${numbers.length} numbers, but the model reads ${count}. Give one in each line.`,
    );
  }
  return numbers;
}
