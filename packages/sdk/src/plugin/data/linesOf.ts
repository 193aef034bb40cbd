/** @file The lines of a text file, of which no more is in memory than one line. */

import { OnnxLoraError } from '../../errors.ts';

/** A line that is not empty. */
export interface Line {
  /** Without spaces around it. */
  readonly text: string;
  /** From 1 on. */
  readonly number: number;
}

/**
 * The lines of UTF-8 bytes, without a byte order mark and those that are empty.
 *
 * @param file what the text is called in messages
 * @throws OnnxLoraError `DATA_INVALID` for a line of more than `longest` characters; what `bytes` throws
 */
export async function* linesOf(file: string, bytes: AsyncIterable<Uint8Array>, longest: number): AsyncGenerator<Line> {
  const decoder = new TextDecoder();
  let rest = '';
  let number = 0;
  const check = (text: string): string => {
    if (text.length <= longest) return text;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${file}, line ${number + 1}: the line has more than ${longest} characters. Check that the file is text with one record per line.`,
    );
  };
  for await (const chunk of bytes) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = check(lines.pop()!);
    for (const line of lines) {
      const text = trimmed(check(line));
      number++;
      if (text !== '') yield { text, number };
    }
  }
  const text = trimmed(rest + decoder.decode());
  if (text !== '') yield { text, number: number + 1 };
}

function trimmed(line: string): string {
  return line.replace(/^\uFEFF/, '').trim();
}
