/** @file A file that stands for the right to write in a place: one process has it, and one that died loses it. */

import {
  closeSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { beginWork, endWork, OWNER, type Owner, stateOf, temporaryFor } from './owner.ts';

/** Who has a lock. */
export interface Holder {
  /** The process, so that it can be told from another of the same number. */
  readonly owner: Owner;
  /** Its number on its machine. */
  readonly pid: number;
  /** The machine's name. */
  readonly host: string;
  /** When it was taken, as ISO 8601 has it. */
  readonly since: string;
}

/** A lock of another machine whose file nobody has touched for so many milliseconds is one of a process that died. */
const STALE = 5 * 60_000;
/** How often the file of a lock that is held is touched. */
const TOUCH = 30_000;

/** Locks of this process, to be removed when it ends. */
const held = new Set<FileLock>();

/** The right to write in a place, held until {@link FileLock.release}, or until the process ends. */
export class FileLock {
  /** The file that says who has it. */
  readonly path: string;
  readonly #owner: Owner;
  readonly #content: string;
  #timer: NodeJS.Timeout | undefined;

  private constructor(path: string, owner: Owner, content: string) {
    this.path = path;
    this.#owner = owner;
    this.#content = content;
    if (held.size === 0) process.on('exit', releaseAll);
    held.add(this);
    this.#timer = setInterval(() => this.#touch(), TOUCH).unref();
  }

  /**
   * Takes the lock, or tells who has it. Of several that try at a time one gets it, also where they find one that a
   * dead process has left.
   *
   * @throws the system's error where the file cannot be made
   */
  static take(path: string): FileLock | Holder {
    const owner = beginWork();
    const holder: Holder = { owner, pid: process.pid, host: hostname(), since: new Date().toISOString() };
    const content = `${JSON.stringify(holder)}\n`;
    const temporary = temporaryFor(path, owner);
    try {
      writeNew(temporary, content);
      for (;;) {
        if (create(temporary, path, content)) return new FileLock(path, owner, content);
        const found = read(path);
        if (!found) continue;
        if (found.isHeld) {
          endWork(owner);
          return found.holder;
        }
        // Only one may take over from this one. Whoever comes later finds another in its place.
        const inner = FileLock.take(takenOver(path, found.holder.owner));
        if (!(inner instanceof FileLock)) {
          endWork(owner);
          return inner;
        }
        try {
          if (read(path)?.content !== found.content) continue;
          renameSync(temporary, path);
          return new FileLock(path, owner, content);
        } finally {
          inner.release();
        }
      }
    } catch (cause) {
      endWork(owner);
      throw cause;
    } finally {
      rmSync(temporary, { force: true });
    }
  }

  /** Who has the lock, where somebody has. */
  static holderOf(path: string): Holder | undefined {
    const found = read(path);
    return found?.isHeld ? found.holder : undefined;
  }

  /** Gives the lock back. */
  release(): void {
    if (!held.delete(this)) return;
    if (held.size === 0) process.off('exit', releaseAll);
    clearInterval(this.#timer);
    endWork(this.#owner);
    try {
      // Another may have taken it for dead, after a long sleep of this machine.
      if (readFileSync(this.path, 'utf8') === this.#content) rmSync(this.path, { force: true });
    } catch {
      // It is gone with its folder.
    }
  }

  #touch(): void {
    try {
      const now = new Date();
      utimesSync(this.path, now, now);
    } catch {
      // The next time.
    }
  }
}

function releaseAll(): void {
  for (const lock of held) lock.release();
}

/** The name of the lock for taking over from a dead owner; {@link isTakenOver} knows it again. */
function takenOver(path: string, owner: Owner): string {
  return join(dirname(path), `.${basename(path).slice(0, 80)}.${owner.slice(-100)}.taken`);
}

const TAKEN = new RegExp(`^[.].*[.](?:${OWNER}|unknown)[.]taken$`);

/** Whether a file is such a lock of a process that died meanwhile. */
export function isLeftLock(file: string): boolean {
  if (!TAKEN.test(basename(file))) return false;
  const found = read(file);
  return found !== undefined && !found.isHeld;
}

/** Makes the file with its content at once; false where there is one. */
function create(temporary: string, path: string, content: string): boolean {
  try {
    linkSync(temporary, path);
    return true;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (code === 'ENOENT') throw cause;
  }
  // A file system without links: others may see the file before its content.
  try {
    writeNew(path, content);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw cause;
  }
}

function writeNew(path: string, content: string): void {
  const file = openSync(path, 'wx');
  try {
    writeSync(file, content);
  } finally {
    closeSync(file);
  }
}

/** What a lock's file says; undefined where there is none. */
function read(
  path: string,
): { readonly content: string; readonly holder: Holder; readonly isHeld: boolean } | undefined {
  let content: string;
  let age: number;
  try {
    content = readFileSync(path, 'utf8');
    age = Date.now() - statSync(path).mtimeMs;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
  const holder = parse(content);
  const state = stateOf(holder.owner);
  return { content, holder, isHeld: state === 'alive' || (state === 'elsewhere' && age < STALE) };
}

/** A file that says nothing is one that is being written, or that a crash has emptied: its age decides. */
function parse(content: string): Holder {
  try {
    const { owner, pid, host, since } = JSON.parse(content) as Partial<Holder>;
    if (typeof owner === 'string' && new RegExp(`^${OWNER}$`).test(owner))
      return { owner, pid: Number(pid), host: String(host), since: String(since) };
  } catch {
    // Told below.
  }
  return { owner: 'unknown', pid: NaN, host: 'unknown', since: 'unknown' };
}
