/** @file Lock files: one process may write in a place; a dead process loses its lock. */

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
} from '../platform/files.ts';
import { basename, dirname, join } from '../platform/path.ts';
import { repeat } from '../platform/pause.ts';
import { atExit, hostname, notAtExit, processId } from '../platform/system.ts';
import { beginWork, endWork, OWNER, type Owner, stateOf, temporaryFor } from './owner.ts';

/** The holder of a lock. */
export interface Holder {
  /** The process, distinct from another with its number. */
  readonly owner: Owner;
  /** Process number on its machine. */
  readonly pid: number;
  /** The machine's name. */
  readonly host: string;
  /** When it was taken, in ISO 8601. */
  readonly since: string;
}

/** Age in milliseconds after which an untouched lock of another machine counts as dead. */
const STALE = 5 * 60_000;
const TOUCH = 30_000;

/** Locks of this process, to be removed when it ends. */
const held = new Set<FileLock>();

/** An exclusive lock, held until {@link FileLock.release} or the end of the process. */
export class FileLock {
  /** The lock file. */
  readonly path: string;
  readonly #owner: Owner;
  readonly #content: string;
  readonly #stopTouching: () => void;

  private constructor(path: string, owner: Owner, content: string) {
    this.path = path;
    this.#owner = owner;
    this.#content = content;
    if (held.size === 0) atExit(releaseAll);
    held.add(this);
    this.#stopTouching = repeat(() => this.#touch(), TOUCH);
  }

  /** Takes the lock, or returns its holder, also after a dead process. @throws the system's error */
  static take(path: string): FileLock | Holder {
    const owner = beginWork();
    const holder: Holder = { owner, pid: processId, host: hostname(), since: new Date().toISOString() };
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
        // Only one process may take over this lock; later ones find a new one in its place.
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

  /** The holder of the lock, if any. */
  static holderOf(path: string): Holder | undefined {
    const found = read(path);
    return found?.isHeld ? found.holder : undefined;
  }

  /** Releases the lock. */
  release(): void {
    if (!held.delete(this)) return;
    if (held.size === 0) notAtExit(releaseAll);
    this.#stopTouching();
    endWork(this.#owner);
    try {
      // Another process may have taken it over, after a long sleep of this machine.
      if (readFileSync(this.path, 'utf8') === this.#content) rmSync(this.path, { force: true });
    } catch {
      // It was removed with its folder.
    }
  }

  #touch(): void {
    try {
      const now = new Date();
      utimesSync(this.path, now, now);
    } catch {
      // The next touch may succeed.
    }
  }
}

function releaseAll(): void {
  for (const lock of held) lock.release();
}

/** Name of the lock for taking over from a dead owner, recognised by {@link isLeftLock}. */
function takenOver(path: string, owner: Owner): string {
  return join(dirname(path), `.${basename(path).slice(0, 80)}.${owner.slice(-100)}.taken`);
}

const TAKEN = new RegExp(`^[.].*[.](?:${OWNER}|unknown)[.]taken$`);

/** Whether a file is such a lock of a dead process. */
export function isLeftLock(file: string): boolean {
  if (!TAKEN.test(basename(file))) return false;
  const found = read(file);
  return found !== undefined && !found.isHeld;
}

/** Makes the file with its content atomically; false if it exists. */
function create(temporary: string, path: string, content: string): boolean {
  try {
    linkSync(temporary, path);
    return true;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (code === 'ENOENT') throw cause;
  }
  // On a file system without links, others may see the file before its content.
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

/** An empty file is being written, or was lost in a crash: its age decides. */
function parse(content: string): Holder {
  try {
    const { owner, pid, host, since } = JSON.parse(content) as Partial<Holder>;
    if (typeof owner === 'string' && new RegExp(`^${OWNER}$`).test(owner))
      return { owner, pid: Number(pid), host: String(host), since: String(since) };
  } catch {
    // Handled below.
  }
  return { owner: 'unknown', pid: NaN, host: 'unknown', since: 'unknown' };
}
