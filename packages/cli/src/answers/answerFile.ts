/** @file A file of answers that grows line by line, and that an interrupted command resumes. */

import { existsSync } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Prediction } from '@onnx-lora/sdk/tasks';
import { csvCell, textOfCell, writeFileAtomic } from '@onnx-lora/sdk/data';
import { usageError } from '../terminal/errors.ts';
import { withColumns, withLists } from './vectors.ts';

/** Endings of answer files, a line per answer. */
export const answerEndings: readonly string[] = ['.csv', '.tsv', '.jsonl'];

export type AnswersOf = Readonly<Record<string, unknown>>;

/** Characters buffered before writing. */
const GATHERED = 1 << 16;
/** Milliseconds of buffering, so that a slow model's answers are not lost. */
const WAITING = 2000;

/**
 * Writes answers to `<file>.part` until `finish`, with a note of their dependencies beside it. A repeated command resumes
 * after the last whole line.
 */
export class AnswerFile {
  readonly #file: string;
  readonly #of: AnswersOf;
  readonly #handle: FileHandle;
  /** Answers per finished source, in order. */
  readonly #done: number[];
  /** Columns of the header, after the first answer. */
  #columns: readonly string[] | undefined;
  #lines: string[] = [];
  #gathered = 0;
  #flushed = performance.now();
  #count: number;

  private constructor(file: string, of: AnswersOf, handle: FileHandle, found: Found) {
    this.#file = file;
    this.#of = of;
    this.#handle = handle;
    this.#done = [...found.done];
    this.#columns = found.columns;
    this.#count = found.answers - found.done.reduce((sum, count) => sum + count, 0);
  }

  /**
   * Opens the existing part, or a new one.
   * @throws OnnxLoraError `CONFIG_INVALID` where the part depends on something else; `FILE_INVALID` where the disk
   *   refuses
   */
  static async open(file: string, of: AnswersOf): Promise<AnswerFile> {
    try {
      const found = await findPart(file, of);
      if (!found) await writeNote(file, of, []);
      const handle = await open(partOf(file), found ? 'r+' : 'w');
      // A cut-off answer is computed again.
      await handle.truncate(found?.bytes ?? 0);
      return new AnswerFile(file, of, handle, found ?? { bytes: 0, answers: 0, done: [], columns: undefined });
    } catch (cause) {
      throw cannotWrite(file, cause);
    }
  }

  /** Finished sources, and answers of the next one. */
  get position(): { readonly sources: number; readonly answers: number } {
    return { sources: this.#done.length, answers: this.#count };
  }

  /** Answers of all sources. */
  get answers(): number {
    return this.#done.reduce((sum, count) => sum + count, this.#count);
  }

  async write(answer: Prediction): Promise<void> {
    for (const line of this.#linesOf(answer)) {
      this.#lines.push(line);
      this.#gathered += line.length;
    }
    this.#count++;
    if (this.#gathered >= GATHERED || performance.now() - this.#flushed > WAITING) await this.flush();
  }

  async endSource(): Promise<void> {
    await this.flush();
    this.#done.push(this.#count);
    this.#count = 0;
    await writeNote(this.#file, this.#of, this.#done);
  }

  async flush(): Promise<void> {
    const text = this.#lines.map((line) => `${line}\n`).join('');
    this.#lines = [];
    this.#gathered = 0;
    this.#flushed = performance.now();
    try {
      let rest = Buffer.from(text);
      let { size } = await this.#handle.stat();
      // A nearly full disk writes a part first, then fails.
      while (rest.length > 0) {
        const { bytesWritten } = await this.#handle.write(rest, 0, rest.length, size);
        rest = rest.subarray(bytesWritten);
        size += bytesWritten;
      }
    } catch (cause) {
      throw cannotWrite(this.#file, cause);
    }
  }

  /** Renames the finished file. */
  async finish(): Promise<void> {
    await this.flush();
    try {
      await this.#handle.sync();
      await this.#handle.close();
      await rename(partOf(this.#file), this.#file);
      await rm(noteOf(this.#file), { force: true });
    } catch (cause) {
      throw cannotWrite(this.#file, cause);
    }
  }

  /** Closes the part, to be resumed. */
  async close(): Promise<void> {
    await this.flush();
    await this.#handle.close();
  }

  #linesOf(answer: Prediction): string[] {
    const separator = separatorOf(this.#file);
    const plain = separator === undefined ? withLists(answer) : withColumns(answer);
    const entries = Object.entries(plain).filter(([, value]) => !(value instanceof Uint8Array));
    if (separator === undefined) return [JSON.stringify(Object.fromEntries(entries))];
    const cells = new Map(entries);
    const lines: string[] = [];
    if (this.#columns === undefined) {
      this.#columns = [...cells.keys()];
      lines.push(this.#columns.map((name) => cell(name, separator)).join(separator));
    }
    const strange = [...cells.keys()].find((name) => !this.#columns!.includes(name));
    if (strange !== undefined) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `The first answers in "${this.#file}" have no "${strange}", and later ones have. Write them to a file that ends in .jsonl.`,
      );
    }
    return [...lines, this.#columns.map((name) => cell(cells.get(name), separator)).join(separator)];
  }
}

interface Found {
  readonly bytes: number;
  readonly answers: number;
  readonly done: readonly number[];
  readonly columns: readonly string[] | undefined;
}

async function findPart(file: string, of: AnswersOf): Promise<Found | undefined> {
  if (!existsSync(noteOf(file)) || !existsSync(partOf(file))) {
    if (!existsSync(partOf(file))) return undefined;
    throw usageError(
      `"${partOf(file)}" is there, but not "${noteOf(file)}", which says what it is of. Remove it, or name another --out.`,
    );
  }
  const note = parseNote(await readFile(noteOf(file), 'utf8'));
  const other = note && Object.keys({ ...note.of, ...of }).find((name) => shown(note.of[name]) !== shown(of[name]));
  if (!note || other !== undefined) {
    throw usageError(
      `"${partOf(file)}" holds answers of an interrupted command that is not this one${other === undefined ? '' : ` (${other}: ${shown(note!.of[other])} then, ${shown(of[other])} now)`}. Repeat that command to continue with it, remove the file to start over, or name another --out.`,
    );
  }
  const separator = separatorOf(file);
  const { bytes, lines, first } = await wholeLines(partOf(file));
  const hasHeader = separator !== undefined && lines > 0;
  return {
    bytes,
    answers: lines - (hasHeader ? 1 : 0),
    done: note.done,
    columns: hasHeader ? headerOf(first!, separator) : undefined,
  };
}

function shown(value: unknown): string {
  return value === undefined ? 'none' : JSON.stringify(value);
}

/** Counts whole lines; cells have no line breaks, so a line is an answer. */
async function wholeLines(part: string): Promise<{ bytes: number; lines: number; first: string | undefined }> {
  const handle = await open(part, 'r');
  try {
    const buffer = Buffer.alloc(GATHERED);
    let [bytes, lines, position] = [0, 0, 0];
    let first: string | undefined;
    let begun = '';
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) return { bytes, lines, first };
      const piece = buffer.subarray(0, bytesRead);
      for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, at + 1)) {
        lines++;
        bytes = position + at + 1;
        first ??= begun + piece.toString('utf8', 0, at);
      }
      if (first === undefined) begun += piece.toString('utf8');
      position += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

function parseNote(text: string): { of: AnswersOf; done: readonly number[] } | undefined {
  try {
    const { of, done } = JSON.parse(text) as { of?: unknown; done?: unknown };
    const isRight = typeof of === 'object' && of !== null && Array.isArray(done) && done.every(Number.isInteger);
    return isRight ? { of: of as AnswersOf, done: done as number[] } : undefined;
  } catch {
    return undefined;
  }
}

function writeNote(file: string, of: AnswersOf, done: readonly number[]): Promise<void> {
  return writeFileAtomic(noteOf(file), `${JSON.stringify({ of, done })}\n`);
}

const partOf = (file: string): string => `${file}.part`;
const noteOf = (file: string): string => `${file}.part.json`;

/** The separator of cells; undefined for JSON Lines. */
function separatorOf(file: string): string | undefined {
  const ending = path.extname(file).toLowerCase();
  return ending === '.jsonl' ? undefined : ending === '.tsv' ? '\t' : ',';
}

/** A cell of `csvCell`, with line breaks as spaces. */
function cell(value: unknown, separator: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'number') return String(value);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return csvCell(text.replaceAll(/\r\n|[\r\n]/g, ' '), separator);
}

/** Parses a header that {@link cell} wrote. */
function headerOf(line: string, separator: string): string[] {
  const names: string[] = [];
  const pattern = new RegExp(`(?:"((?:[^"]|"")*)"|([^${separator}]*))(?:${separator}|$)`, 'y');
  while (pattern.lastIndex < line.length) {
    const found = pattern.exec(line);
    if (!found) break;
    names.push(textOfCell(found[1]?.replaceAll('""', '"') ?? found[2]!));
  }
  return names;
}

function cannotWrite(file: string, cause: unknown): OnnxLoraError {
  if (cause instanceof OnnxLoraError) return cause;
  return new OnnxLoraError(
    'FILE_INVALID',
    `"${file}" could not be written: ${(cause as Error).message}. Check the path, its rights and the free space.`,
    { cause },
  );
}
