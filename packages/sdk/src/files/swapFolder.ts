/** @file The folder through which files are exchanged for others in one step, and what becomes of it after a crash. */

import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { OnnxLoraError } from '../errors.ts';
import { FileLock } from './fileLock.ts';
import { beginWork, endWork, type Owner, stateOf, temporaryFor } from './owner.ts';

/** Its name, in the folder of the files. */
export const SWAP = '.onnx-lora-swap';
/** Who exchanges which files. */
const PLAN = 'plan.json';
/** Larger than any plan. */
const MAX_PLAN_BYTES = 4 << 20;
/** Which files count: a link to one of the two folders below; where there are no links, a file once it is the new ones. */
const SIDE = 'side';
/** New files by their numbers. */
export const NEW = 'new';
/** Old files, likewise. */
const OLD = 'old';
/** What a process on another machine has left for so long is taken for left for ever, in milliseconds. */
const STALE = 5 * 60_000;
/** How long a reader waits for files that are missing while they are exchanged without links, in milliseconds. */
const MOMENT = 1000;

/** Who exchanges which files: paths from the folder by their numbers, null for those that stay. */
export interface Plan {
  readonly owner: Owner;
  readonly files: readonly (string | null)[];
}

/** The folder for an exchange, while it is there. */
export class SwapFolder {
  readonly #root: string;
  readonly #path: string;
  readonly #files: readonly (readonly [at: number, name: string])[];

  constructor(root: string, { files }: Plan) {
    this.#root = root;
    this.#path = join(root, SWAP);
    this.#files = files.flatMap((name, at) => (name === null ? [] : [[at, name] as const]));
  }

  /** Writes the plan into a folder that is to become one, with new files in it. */
  static prepare(folder: string, plan: Plan): void {
    writeFileSync(join(folder, PLAN), JSON.stringify(plan));
    mkdirSync(join(folder, OLD));
  }

  /** Lets the new files count in place of the old ones. */
  exchange(): void {
    const isLinked = this.#link();
    if (!isLinked) for (const [at, name] of this.#files) renameIfThere(this.#target(name), this.#at(OLD, at));
    flush(this.#root);
    const next = join(this.#path, 'next');
    if (isLinked) symlinkSync(NEW, next);
    else writeFileSync(next, NEW);
    renameSync(next, join(this.#path, SIDE));
    flush(this.#path);
  }

  /**
   * Puts the files that count into their places, and ends the folder. May be repeated from any point at which it was cut off.
   *
   * @param owner who does so
   */
  finish(owner: Owner): void {
    const side = sideOf(this.#path);
    for (const [at, name] of this.#files) {
      const target = this.#target(name);
      const from = this.#at(side.counts, at);
      if (!side.isLinked) renameIfThere(from, target);
      else if (this.#isLink(target, at)) {
        if (isThere(from)) renameSync(from, target);
        else rmSync(target);
      }
    }
    flush(this.#root);
    const ended = temporaryFor(this.#path, owner);
    renameSync(this.#path, ended);
    rmSync(ended, { recursive: true, force: true });
  }

  /** Puts links in the places of all files, which lead to the old ones; false, having done nothing, where there are no links. */
  #link(): boolean {
    // There a link to a folder cannot be renamed over another.
    if (process.platform === 'win32') return false;
    try {
      symlinkSync(OLD, join(this.#path, SIDE));
      for (const [at, name] of this.#files) linkIfThere(this.#target(name), this.#at(OLD, at));
    } catch (cause) {
      if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'EINVAL'].includes(codeOf(cause))) throw cause;
      rmSync(join(this.#path, SIDE), { force: true });
      for (const [at] of this.#files) rmSync(this.#at(OLD, at), { force: true });
      return false;
    }
    const link = join(this.#path, 'link');
    for (const [at, name] of this.#files) {
      symlinkSync(this.#leads(this.#target(name), at), link);
      renameSync(link, this.#target(name));
    }
    return true;
  }

  #at(side: string, at: number): string {
    return join(this.#path, side, String(at));
  }

  #target(name: string): string {
    return join(this.#root, name);
  }

  /** What the link in the place of a file says. */
  #leads(target: string, at: number): string {
    return relative(realpathSync(dirname(target)), join(realpathSync(this.#root), SWAP, SIDE, String(at)));
  }

  #isLink(target: string, at: number): boolean {
    return (
      lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink() === true &&
      readlinkSync(target) === this.#leads(target, at)
    );
  }
}

/**
 * Ends what a process that was killed has begun in a folder: the new files are all there then, or the old ones. Does nothing
 * where no files are being exchanged, or where that is still under way and readers find whole files all the time. Called before
 * files are opened that may have been written together.
 *
 * @throws OnnxLoraError `FILE_INVALID` where files are missing until somebody does who may write there
 */
export function settle(folder: string): void {
  const swap = join(folder, SWAP);
  for (let waited = 0; existsSync(swap) && waited < MOMENT; waited += waitABit()) {
    let isLinked = false;
    try {
      ({ isLinked } = sideOf(swap));
      recover(folder);
    } catch (cause) {
      // Another has ended it.
      if (codeOf(cause) === 'ENOENT') continue;
      if (!isLinked) throw unfinished(folder, cause);
    }
    // Without links, files are missing for a moment.
    if (isLinked) return;
  }
}

function unfinished(folder: string, cause: unknown): OnnxLoraError {
  if (cause instanceof OnnxLoraError) return cause;
  return new OnnxLoraError(
    'FILE_INVALID',
    `Writing to "${folder}" was interrupted, and its files are still in "${join(folder, SWAP)}": they cannot be put into their places (${(cause as Error).message}). Open it once with the right to write there.`,
    { cause },
  );
}

/** Waits, without letting other work in between, and tells how long. */
export function waitABit(): number {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  return 5;
}

/** Finishes for an owner who is dead. */
function recover(root: string): void {
  const swap = join(root, SWAP);
  if (!isLeft(root, readPlan(swap))) return;
  // Of several that find it, one.
  const lock = FileLock.take(join(swap, 'lock'));
  if (!(lock instanceof FileLock)) return;
  const owner = beginWork();
  try {
    // Another may have finished, and a third have begun, before the lock was there.
    const plan = readPlan(swap);
    if (isLeft(root, plan)) new SwapFolder(root, plan).finish(owner);
  } finally {
    endWork(owner);
    lock.release();
  }
}

/**
 * Whether nobody finishes it any more. Of a folder that came from elsewhere, a downloaded one say, files without links are
 * left where they are: its plan may name any file beside them.
 */
function isLeft(root: string, { owner }: Plan): boolean {
  const state = stateOf(owner);
  if (state !== 'elsewhere') return state === 'dead';
  const swap = join(root, SWAP);
  return sideOf(swap).isLinked && Date.now() - statSync(swap).mtimeMs > STALE;
}

/** @throws OnnxLoraError `FILE_INVALID` for a plan that no process has written */
function readPlan(swap: string): Plan {
  try {
    const file = join(swap, PLAN);
    if (statSync(file).size > MAX_PLAN_BYTES) throw new Error('it is too large');
    const { owner, files } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Plan>;
    const isRight = typeof owner === 'string' && Array.isArray(files) && files.every((name) => name === null || isInside(swap, name)); // prettier-ignore
    // What is renamed lies in it, not behind a link.
    const areFolders = [NEW, OLD].every((name) => lstatSync(join(swap, name)).isDirectory());
    if (isRight && areFolders) return { owner, files };
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT' && !existsSync(swap)) throw cause;
  }
  throw new OnnxLoraError(
    'FILE_INVALID',
    `"${swap}" is not what onnx-lora leaves when it is interrupted while it writes. Remove it.`,
  );
}

/** Whether a path from the folder of files leads to a file in it, also through links. */
function isInside(swap: string, name: unknown): boolean {
  if (typeof name !== 'string' || isAbsolute(name)) return false;
  const root = dirname(swap);
  const folder = dirname(join(root, name));
  const way = relative(realpathSync(root), existsSync(folder) ? realpathSync(folder) : folder);
  return way.split(/[/\\]/)[0] !== '..' && !isAbsolute(way);
}

/** Which files count, and whether links lead to them. */
function sideOf(swap: string): { readonly counts: string; readonly isLinked: boolean } {
  const side = join(swap, SIDE);
  const found = lstatSync(side, { throwIfNoEntry: false });
  if (!found?.isSymbolicLink()) return { counts: found ? NEW : OLD, isLinked: false };
  return { counts: readlinkSync(side) === NEW ? NEW : OLD, isLinked: true };
}

/** A second name for a file; a link that leads where a link of the user's leads. */
function linkIfThere(from: string, to: string): void {
  const found = lstatSync(from, { throwIfNoEntry: false });
  if (found?.isSymbolicLink()) symlinkSync(resolve(dirname(from), readlinkSync(from)), to);
  else if (found) linkSync(from, to);
}

function renameIfThere(from: string, to: string): void {
  if (isThere(from)) renameSync(from, to);
}

function isThere(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

/** Makes renames in a folder survive a power cut, where the system lets a folder be opened (Windows does not). */
export function flush(folder: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** The system's name for an error. */
export function codeOf(cause: unknown): string {
  return (cause as NodeJS.ErrnoException).code ?? '';
}
