/** @file Lines of text that comes in pieces cut anywhere. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/** Longest line or sequence that is read, in characters; the longest protein known has some 45,000 residues. */
export const MAX_SEQUENCE: number = 2 ** 24;

/** Text in pieces. */
export type TextPieces = AsyncIterable<string> | Iterable<string>;

/**
 * Lines without their ends, which are LF, CR LF or CR, and without a byte order mark. Concatenated pieces stay ropes, so a long
 * line costs no more than its length.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a line of more than `MAX_SEQUENCE` characters
 */
export async function* textLines(chunks: TextPieces, name: string): AsyncGenerator<string> {
  let rest = '';
  let number = 1;
  let carry = '';
  let begun = false;
  for await (const chunk of chunks) {
    let text = carry + chunk;
    if (text === '') continue;
    if (!begun && text.startsWith('\uFEFF')) text = text.slice(1);
    begun = true;
    // The LF of a CR LF may open the next chunk.
    carry = text.endsWith('\r') ? '\r' : '';
    const pieces = (carry ? text.slice(0, -1) : text).split(/\r\n|\n|\r/);
    const last = pieces.pop()!;
    for (const piece of pieces) {
      yield rest + piece;
      rest = '';
      number++;
    }
    rest += last;
    if (rest.length > MAX_SEQUENCE) throw tooLong(name, number);
  }
  yield rest;
}

/** The error about a line or a sequence without end. */
export function tooLong(name: string, line: number): OnnxLoraError {
  return badLine(name, line, `longer than ${MAX_SEQUENCE} characters. Check that it is a file of sequences.`);
}

/** An error about a line of a file. */
export function badLine(name: string, line: number, what: string): OnnxLoraError {
  return new OnnxLoraError('DATA_INVALID', `"${name}", line ${line}: ${what}`);
}
