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
 * The lines of UTF-8 bytes, without a byte order mark and those that are empty. They end in LF, CR LF or CR.
 *
 * @param file what the text is called in messages
 * @throws OnnxLoraError `DATA_INVALID` for a line of more than `longest` characters; what `bytes` throws
 */
export async function* linesOf(file: string, bytes: AsyncIterable<Uint8Array>, longest: number): AsyncGenerator<Line> {
  const decoder = new TextDecoder();
  /** What of a line there is so far; concatenated pieces stay ropes, so that a long line costs no more than its length. */
  let rest = '';
  let carry = '';
  let number = 0;
  const check = (text: string): string => {
    if (text.length <= longest) return text;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${file}, line ${number + 1}: the line has more than ${longest} characters. Check that the file is text with one record per line.`,
    );
  };
  for await (const chunk of bytes) {
    const read = carry + decoder.decode(chunk, { stream: true });
    // The LF of a CR LF may open the next chunk.
    carry = read.endsWith('\r') ? '\r' : '';
    const pieces = (carry ? read.slice(0, -1) : read).split(/\r\n|\n|\r/);
    const last = pieces.pop()!;
    for (const piece of pieces) {
      const text = trimmed(check(rest + piece));
      rest = '';
      number++;
      if (text !== '') yield { text, number };
    }
    rest = check(rest + last);
  }
  const text = trimmed(check(rest + decoder.decode()));
  if (text !== '') yield { text, number: number + 1 };
}

function trimmed(line: string): string {
  return line.replace(/^\uFEFF/, '').trim();
}
