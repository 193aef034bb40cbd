/** @file Text of strangers' files: line by line, of which no more is in memory than one line, or whole up to a size. */

import { readFile, stat } from 'node:fs/promises';
import { OnnxLoraError } from '../../errors.ts';
import { decodeText, StrictDecoder } from '../../files/decodeText.ts';
import { notFound } from '../../files/notFound.ts';

/** Longest line, in bytes or characters. */
export const MAX_LINE: number = 1 << 24;
/** Text that is taken apart at once takes several times its size. */
const MAX_TEXT = 1 << 28;

/** Text in pieces that are cut anywhere. */
export type TextPieces = AsyncIterable<string> | Iterable<string>;

/** A line that is not empty. */
export interface Line {
  /** Without spaces around it. */
  readonly text: string;
  /** From 1 on. */
  readonly number: number;
}

/**
 * The text of bytes as they come: UTF-8, or UTF-16 with a byte order mark, which is left out.
 *
 * @param name the name of the text in messages
 * @throws OnnxLoraError `DATA_INVALID`, with the line, for bytes that are no text; what `bytes` throws
 */
export async function* textOf(name: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new StrictDecoder(name);
  for await (const chunk of bytes) yield decoder.push(chunk);
  yield decoder.end();
}

/** Cuts text that comes in pieces into lines. */
class LineCutter {
  readonly #name: string;
  readonly #longest: number;
  /** What of a line there is so far; concatenated pieces stay ropes, so that a long line costs no more than its length. */
  #rest = '';
  #carry = '';
  #number = 0;
  #hasBegun = false;

  constructor(name: string, longest: number) {
    this.#name = name;
    this.#longest = longest;
  }

  /** The lines that a piece ends. */
  lines(piece: string): string[] {
    let text = this.#carry + piece;
    if (text === '') return [];
    if (!this.#hasBegun && text.startsWith('\uFEFF')) text = text.slice(1);
    this.#hasBegun = true;
    // The LF of a CR LF may open the next piece.
    this.#carry = text.endsWith('\r') ? '\r' : '';
    const lines = (this.#carry ? text.slice(0, -1) : text).split(/\r\n|\n|\r/);
    lines[0] = this.#rest + lines[0]!;
    this.#rest = lines.pop()!;
    for (const line of lines) {
      this.#check(line);
      this.#number++;
    }
    this.#check(this.#rest);
    return lines;
  }

  /** The last line, which nothing ends. */
  get last(): string {
    return this.#rest;
  }

  #check({ length }: string): void {
    if (length <= this.#longest) return;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${this.#name}, line ${this.#number + 1}: the line has more than ${this.#longest} characters. Check that the file is text with one record per line.`,
    );
  }
}

/**
 * Lines without their ends, which are LF, CR LF or CR, and without a byte order mark.
 *
 * @param name what the text is called in messages
 * @throws OnnxLoraError `DATA_INVALID` for a line of more than `longest` characters; what `pieces` throws
 */
export async function* textLines(
  name: string,
  pieces: TextPieces,
  longest: number = MAX_LINE,
): AsyncGenerator<string, void, undefined> {
  const cutter = new LineCutter(name, longest);
  for await (const piece of pieces) for (const line of cutter.lines(piece)) yield line;
  yield cutter.last;
}

/**
 * The lines of a text that are not empty.
 *
 * @throws OnnxLoraError as {@link textOf} and {@link textLines}
 */
export async function* linesOf(
  name: string,
  bytes: AsyncIterable<Uint8Array>,
  longest: number = MAX_LINE,
): AsyncGenerator<Line, void, undefined> {
  const cutter = new LineCutter(name, longest);
  let number = 0;
  const line = (text: string): Line => ({ text: text.trim(), number: ++number });
  for await (const piece of textOf(name, bytes)) {
    for (const each of cutter.lines(piece).map(line)) if (each.text !== '') yield each;
  }
  const last = line(cutter.last);
  if (last.text !== '') yield last;
}

/** The lines of a small text file that are not empty, with where they are: `list.txt, line 12`. As {@link readText}. */
export async function placedLines(file: string): Promise<{ readonly text: string; readonly place: string }[]> {
  const text = await readText(file);
  return text
    .split(/\r\n|\n|\r/)
    .map((line, i) => ({ text: line.trim(), place: `${file}, line ${i + 1}` }))
    .filter((line) => line.text !== '');
}

/**
 * The text of a file, as {@link textOf} decodes it.
 *
 * @param remedy what to do about a file of more than `most` bytes
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` when it cannot be read, is too large or is no text
 */
export async function readText(
  file: string,
  most: number = MAX_TEXT,
  remedy = 'Check that it is text, or divide it into several files.',
): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size <= most) return decodeText(await readFile(file), file);
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" has ${size} bytes, more than can be read at once (${most}). ${remedy}`,
    );
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

/** The error about a file of data that could not be read. */
export function unreadable(file: string, cause: unknown): OnnxLoraError {
  if (cause instanceof OnnxLoraError) return cause;
  if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
    return notFound('file', file, { remedy: 'Check the path of the data.', cause });
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new OnnxLoraError('DATA_INVALID', `Cannot read "${file}": ${reason}. Check the file.`, { cause });
}
