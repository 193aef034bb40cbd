/** @file Where the command writes: results to stdout, everything else to stderr. */

import pico from 'picocolors';
import { narrowed } from './table.ts';

/** A stream as far as the command needs one; `process.stdout` is one. */
export interface Writer {
  /** Writes text as it is, without a line break behind it. */
  write(text: string): unknown;
  /** Whether a person is looking: only then there are colours and a line of progress. */
  readonly isTTY?: boolean;
  /** Characters of a line, where that is known. */
  readonly columns?: number;
}

/** The streams. */
export interface Streams {
  /** Gives what is said in a conversation; the process's where there is none. */
  readonly stdin?: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Takes results. */
  readonly stdout: Writer;
  /** Takes progress, warnings and errors. */
  readonly stderr: Writer;
}

type Colours = ReturnType<typeof pico.createColors>;

/** Writes lines, in colour where a person looks on. */
export class Terminal {
  readonly stdin: NonNullable<Streams['stdin']>;
  readonly stdout: Writer;
  readonly stderr: Writer;
  /** Colours for what goes to stdout. */
  readonly colours: Colours;
  /** Colours for what goes to stderr. */
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

  /** A line of the result. */
  print(line: string): void {
    this.endLiveLine();
    this.stdout.write(`${narrowed(line, this.width)}\n`);
  }

  /** Characters that a line of the result has room for: as many as it likes, where nobody looks on. */
  get width(): number {
    const { isTTY, columns } = this.stdout;
    return isTTY && columns ? columns : Infinity;
  }

  /** The result for machines: one JSON value on one line. */
  printJson(value: unknown): void {
    this.endLiveLine();
    this.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** The result as it is wanted: as JSON, or as lines, which may hold names out of files of strangers. */
  result({ json = false }: { readonly json?: boolean }, value: unknown, lines: () => Iterable<string>): void {
    if (json) this.printJson(value);
    else for (const line of lines()) this.print(printable(line));
  }

  /** A line about the work, which is no part of the result. */
  note(line: string): void {
    this.endLiveLine();
    this.stderr.write(`${line}\n`);
  }

  /** Replaces the line that stderr shows last, cut to its width. For a person's eyes. */
  redraw(line: string): void {
    this.stderr.write(`\r\u001B[2K${line.slice(0, (this.stderr.columns ?? 80) - 1)}`);
    this.#hasOpenLine = true;
  }

  /** Replaces the lines that stderr shows last, where those were drawn so. For a person's eyes; no line may be wider than it. */
  redrawLines(lines: readonly string[]): void {
    const up = this.#openLines > 0 ? `\u001B[${this.#openLines}A` : '';
    this.stderr.write(`\r${up}\u001B[J${lines.map((line) => `${printable(line)}\n`).join('')}`);
    this.#openLines = lines.length;
    this.#hasOpenLine = false;
  }

  /** Keeps what was drawn last; what follows stands below it. */
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

/** Names in a message come from files of strangers: what would steer the terminal is shown as `\x1b`. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}
