/** @file Progress: a live line on a terminal, a few plain lines elsewhere. */

import { printable, type Terminal } from './terminal.ts';

/** Lines of a whole run in a pipe. */
const PLAIN_LINES = 10;
const REDRAW_MS = 80;

/** Shows progress on stderr. */
export class Progress {
  readonly #terminal: Terminal;
  readonly #mode: 'live' | 'plain' | 'silent';
  #drawn = 0;
  #tenth = 0;
  readonly #told = new Set<string>();
  readonly #isJson: boolean;

  constructor(
    terminal: Terminal,
    { quiet = false, json = false }: { readonly quiet?: boolean | undefined; readonly json?: boolean | undefined } = {},
  ) {
    this.#isJson = json;
    this.#terminal = terminal;
    this.#mode = quiet ? 'silent' : terminal.stderr.isTTY === true ? 'live' : 'plain';
  }

  /** Shows that `done` of `total` is reached. */
  show(done: number, total: number, line: string): void {
    if (this.#mode === 'plain') this.#printAtTenths(done, total, line);
    else this.showLive(done, total, line);
  }

  /** Like `show`, but silent in a pipe: for short work. */
  showLive(done: number, total: number, line: string): void {
    if (this.#mode !== 'live') return;
    const now = performance.now();
    if (done < total && now - this.#drawn < REDRAW_MS) return;
    this.#drawn = now;
    this.#terminal.redraw(line);
  }

  /** Prints a line, which may contain untrusted names. */
  note(line: string): void {
    if (this.#mode !== 'silent') this.#terminal.note(printable(line));
  }

  /** Prints a line about the coming work, once. Silent with `--json`, as programs parse errors on stderr. */
  intro(line: string): void {
    if (this.#isJson || this.#told.has(line)) return;
    this.#told.add(line);
    this.note(line);
  }

  #printAtTenths(done: number, total: number, line: string): void {
    const tenth = Math.floor((done * PLAIN_LINES) / total);
    if (tenth <= this.#tenth && done !== 1) return;
    this.#tenth = tenth;
    this.#terminal.note(line);
  }
}
