/** @file Reads a series: a text file with one number in each line. */

import { readFile } from 'node:fs/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';

/**
 * The numbers of a file, in order.
 *
 * @param fewest how many there must be
 * @throws OnnxLoraError `DATA_INVALID`, naming file and line
 */
export async function readReadings(file: string, fewest: number): Promise<Float32Array> {
  const text = await readFile(file, 'utf8').catch((cause: Error) => {
    throw new OnnxLoraError('DATA_INVALID', `"${file}" cannot be read: ${cause.message}. Check the path.`, { cause });
  });
  const lines = text.trimEnd().split('\n');
  const readings = Float32Array.from(lines, Number);
  const bad = readings.findIndex((value, i) => !Number.isFinite(value) || lines[i]!.trim() === '');
  if (bad >= 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}", line ${bad + 1}: expected a number, found "${lines[bad]!.slice(0, 40)}". Correct or remove the line.`,
    );
  }
  if (readings.length < fewest) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" holds ${readings.length} readings, but at least ${fewest} are needed. Give a longer series.`,
    );
  }
  return readings;
}
