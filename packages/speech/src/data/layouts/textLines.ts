/** @file Small text files of data, line by line. */

import { readFile, stat } from 'node:fs/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** Text that is split at once takes several times its size. */
const MAX_BYTES = 1 << 28;

/** A line that is not empty, and where it is. */
export interface TextLine {
  readonly text: string;
  readonly place: string;
}

/**
 * The lines of a UTF-8 file, trimmed, without those that are empty.
 *
 * @throws OnnxLoraError `DATA_INVALID` when it cannot be read or is too large
 */
export async function textLines(file: string): Promise<TextLine[]> {
  const text = await textOfFile(file, MAX_BYTES);
  return text
    .split(/\r\n|\n|\r/)
    .map((line, i) => ({ text: line.trim(), place: `${file}, line ${i + 1}` }))
    .filter((line) => line.text !== '');
}

/**
 * The text of a UTF-8 file without a byte order mark.
 *
 * @throws OnnxLoraError `DATA_INVALID` when it cannot be read or is too large
 */
export async function textOfFile(file: string, maxBytes: number): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > maxBytes) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `"${file}" has ${size} bytes, more than are read of such a file (${maxBytes}). Check that it is text, or divide it.`,
      );
    }
    return (await readFile(file, 'utf8')).replace(/^\uFEFF/, '');
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError('DATA_INVALID', `Cannot read "${file}": ${reason}. Check the file.`, { cause });
  }
}

/** The first word of a line, and the rest; undefined for an empty rest. */
export function firstWord(line: string): { readonly word: string; readonly rest: string | undefined } {
  const { word, rest } = /^(?<word>\S+)(?:\s+(?<rest>.*))?$/s.exec(line)!.groups!;
  return { word: word!, rest };
}
