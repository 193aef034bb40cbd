/** @file Output: results to stdout, everything else to stderr. */

import pico from 'picocolors';
import { narrowed } from './table.ts';

/** An output stream, such as `process.stdout`. */
export interface Writer {
  /** Writes text without adding a line break. */
  write(text: string): unknown;
  /** Whether it is a terminal, which gets colours and live progress. */
  readonly isTTY?: boolean;
  /** Columns of the terminal, if known. */
  readonly columns?: number;
}

/** The command's streams. */
export interface Streams {
  /** Input of a conversation; the process's stdin by default. */
  readonly stdin?: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Receives results. */
  readonly stdout: Writer;
  /** Receives progress, warnings and errors. */
  readonly stderr: Writer;
}

type Colours = ReturnType<typeof pico.createColors>;

/** Writes lines, in colour on a terminal. */
export class Terminal {
  readonly stdin: NonNullable<Streams['stdin']>;
  readonly stdout: Writer;
  readonly stderr: Writer;
  readonly colours: Colours;
  readonly errorColours: Colours;
  #hasOpenLine = false;
  #openLines = 0;

  constructor({ stdin = process.stdin, stdout, stderr }: Streams) {
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = stderr;
    this.colours = pico.createColors(wantsColour(stdout));
    this.errorColours = pico.createColors(wantsColour(stderr));
  }

  /** Prints a line of the result. */
  print(line: string): void {
    this.endLiveLine();
    this.stdout.write(`${narrowed(line, this.width)}\n`);
  }

  /** Width of the terminal; infinite for a pipe. */
  get width(): number {
    const { isTTY, columns } = this.stdout;
    return isTTY && columns ? columns : Infinity;
  }

  /** Prints the result as one line of JSON. */
  printJson(value: unknown): void {
    this.endLiveLine();
    this.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** Prints the result as JSON, or as lines, which may contain untrusted names. */
  result({ json = false }: { readonly json?: boolean }, value: unknown, lines: () => Iterable<string>): void {
    if (json) this.printJson(value);
    else for (const line of lines()) this.print(printable(line));
  }

  /** Prints a line on stderr. */
  note(line: string): void {
    this.endLiveLine();
    this.stderr.write(`${line}\n`);
  }

  /** Replaces the live line on stderr, cut to its width. */
  redraw(line: string): void {
    this.stderr.write(`\r\u001B[2K${line.slice(0, (this.stderr.columns ?? 80) - 1)}`);
    this.#hasOpenLine = true;
  }

  /** Replaces the live lines on stderr; none may exceed its width. */
  redrawLines(lines: readonly string[]): void {
    const up = this.#openLines > 0 ? `\u001B[${this.#openLines}A` : '';
    this.stderr.write(`\r${up}\u001B[J${lines.map((line) => `${printable(line)}\n`).join('')}`);
    this.#openLines = lines.length;
    this.#hasOpenLine = false;
  }

  /** Keeps the live lines and continues below them. */
  endLiveLine(): void {
    if (this.#hasOpenLine) this.stderr.write('\n');
    this.#hasOpenLine = false;
    this.#openLines = 0;
  }
}

/** https://no-color.org */
function wantsColour(stream: Writer): boolean {
  return stream.isTTY === true && !process.env['NO_COLOR'];
}

/** Escapes control characters as `\x1b`: names come from untrusted files. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}
