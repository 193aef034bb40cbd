/** @file Untrusted text files: streamed by line, or read whole up to a size. */

import { readFile, stat } from '../../platform/files.ts';
import { OnnxLoraError } from '../../errors.ts';
import { decodeText, StrictDecoder } from '../../files/decodeText.ts';
import { notFound } from '../../files/notFound.ts';

/** Longest line, in bytes or characters. */
export const MAX_LINE: number = 1 << 24;
/** Largest file to read whole; splitting text takes several times its size. */
const MAX_TEXT = 1 << 28;

/** Text in arbitrary pieces. */
export type TextPieces = AsyncIterable<string> | Iterable<string>;

/** A non-empty line. */
export interface Line {
  /** Trimmed text. */
  readonly text: string;
  /** Line number from 1. */
  readonly number: number;
}

/** Decodes UTF-8, or UTF-16 by its byte order mark, dropping the mark. @throws OnnxLoraError `DATA_INVALID` */
export async function* textOf(name: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new StrictDecoder(name);
  for await (const chunk of bytes) yield decoder.push(chunk);
  yield decoder.end();
}

/** Splits pieces of text into lines. */
class LineCutter {
  readonly #name: string;
  readonly #longest: number;
  /** The current line so far; concatenated strings stay ropes, so that a long line takes linear time. */
  #rest = '';
  #carry = '';
  #number = 0;
  #hasBegun = false;

  constructor(name: string, longest: number) {
    this.#name = name;
    this.#longest = longest;
  }

  lines(piece: string): string[] {
    let text = this.#carry + piece;
    if (text === '') return [];
    if (!this.#hasBegun && text.startsWith('\uFEFF')) text = text.slice(1);
    this.#hasBegun = true;
    // The LF of a CR LF may start the next piece.
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

/** Lines, split at LF, CR LF or CR, without a byte order mark. @throws OnnxLoraError `DATA_INVALID` for a longer one */
export async function* textLines(
  name: string,
  pieces: TextPieces,
  longest: number = MAX_LINE,
): AsyncGenerator<string, void, undefined> {
  const cutter = new LineCutter(name, longest);
  for await (const piece of pieces) for (const line of cutter.lines(piece)) yield line;
  yield cutter.last;
}

/** The non-empty lines of a text. @throws OnnxLoraError as {@link textOf} and {@link textLines} */
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

/** The non-empty lines of a small text file, with their location: `list.txt, line 12`. Reads as {@link readText}. */
export async function locatedLines(file: string): Promise<{ readonly text: string; readonly place: string }[]> {
  const text = await readText(file);
  return text
    .split(/\r\n|\n|\r/)
    .map((line, i) => ({ text: line.trim(), place: `${file}, line ${i + 1}` }))
    .filter((line) => line.text !== '');
}

/**
 * Reads a text file, decoded as by {@link textOf}.
 * @param remedy what to do about a file of more than `most` bytes
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` for a file that cannot be read, is too large or is not text
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

/** The error about a data file that cannot be read. */
export function unreadable(file: string, cause: unknown): OnnxLoraError {
  if (cause instanceof OnnxLoraError) return cause;
  if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
    return notFound('file', file, { remedy: 'Check the path of the data.', cause });
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new OnnxLoraError('DATA_INVALID', `Cannot read "${file}": ${reason}. Check the file.`, { cause });
}
