/** @file One line that tells how far the work is; a few plain lines where nobody watches. */

import { printable, type Terminal } from './terminal.ts';

/** How many lines a whole run leaves in a pipe. */
const PLAIN_LINES = 10;
/** Redrawing more often only flickers. */
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

  /** `done` of `total` is reached; `line` says it. */
  show(done: number, total: number, line: string): void {
    if (this.#mode === 'plain') this.#printAtTenths(done, total, line);
    else this.showLive(done, total, line);
  }

  /** As `show`, but a pipe gets nothing: for what is over soon. */
  showLive(done: number, total: number, line: string): void {
    if (this.#mode !== 'live') return;
    const now = performance.now();
    if (done < total && now - this.#drawn < REDRAW_MS) return;
    this.#drawn = now;
    this.#terminal.redraw(line);
  }

  /** A line of its own, which may hold names out of files of strangers. */
  note(line: string): void {
    if (this.#mode !== 'silent') this.#terminal.note(printable(line));
  }

  /** A line about what the command is going to do, once. With `--json` there is none: programs read an error from stderr as JSON. */
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
