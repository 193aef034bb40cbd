/** @file The folder through which files are exchanged in one step, and its recovery after a crash. */

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
} from '../platform/files.ts';
import { dirname, isAbsolute, join, relative, resolve } from '../platform/path.ts';
import { system } from '../platform/system.ts';
import { OnnxLoraError } from '../errors.ts';
import { FileLock } from './fileLock.ts';
import { beginWork, endWork, type Owner, stateOf, temporaryFor } from './owner.ts';

/** Name of the folder, within the folder of the files. */
export const SWAP = '.onnx-lora-swap';
const PLAN = 'plan.json';
const MAX_PLAN_BYTES = 4 << 20;
/** The current side: a link to one of the folders below; without links, a file once the new files are current. */
const SIDE = 'side';
/** Folder of the new files, by number. */
export const NEW = 'new';
/** Folder of the old files, by number. */
const OLD = 'old';
/** Age in milliseconds after which an exchange of another machine counts as abandoned. */
const STALE = 5 * 60_000;
/** Milliseconds that readers wait for files missing in an exchange without links. */
const MOMENT = 1000;

/** Owner and files of an exchange: paths by number, null for unchanged files. */
export interface Plan {
  readonly owner: Owner;
  readonly files: readonly (string | null)[];
}

/** The folder of an exchange in progress. */
export class SwapFolder {
  readonly #root: string;
  readonly #path: string;
  readonly #files: readonly (readonly [at: number, name: string])[];

  constructor(root: string, { files }: Plan) {
    this.#root = root;
    this.#path = join(root, SWAP);
    this.#files = files.flatMap((name, at) => (name === null ? [] : [[at, name] as const]));
  }

  /** Adds the plan to a staging folder with new files. */
  static prepare(folder: string, plan: Plan): void {
    writeFileSync(join(folder, PLAN), JSON.stringify(plan));
    mkdirSync(join(folder, OLD));
  }

  /** Makes the new files current. */
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

  /** Moves the current files into place and removes the folder, as `owner`. Can be repeated after an interruption. */
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

  /** Replaces all files by links to the old ones; false, without any change, where there are no links. */
  #link(): boolean {
    // On Windows, a link to a folder cannot be renamed over another.
    if (system === 'win32') return false;
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
 * Completes an exchange that a killed process left in a folder, so that all files are new, or all old. Does nothing without an
 * exchange, or with one in progress under which readers find whole files. Call it before opening files that may have
 * been written together.
 * @throws OnnxLoraError `FILE_INVALID` where files stay missing until someone with write permission does this
 */
export function settle(folder: string): void {
  const swap = join(folder, SWAP);
  for (let waited = 0; existsSync(swap) && waited < MOMENT; waited += waitABit()) {
    let isLinked = false;
    try {
      ({ isLinked } = sideOf(swap));
      recover(folder);
    } catch (cause) {
      // Another process has ended it.
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

/** Blocks this thread for a moment; returns the milliseconds. */
export function waitABit(): number {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  return 5;
}

function recover(root: string): void {
  const swap = join(root, SWAP);
  if (!isLeft(root, readPlan(swap))) return;
  const lock = FileLock.take(join(swap, 'lock'));
  if (!(lock instanceof FileLock)) return;
  const owner = beginWork();
  try {
    // Another process may have finished, and a third have started, before the lock was taken.
    const plan = readPlan(swap);
    if (isLeft(root, plan)) new SwapFolder(root, plan).finish(owner);
  } finally {
    endWork(owner);
    lock.release();
  }
}

/** Whether an exchange is abandoned. In a download without links it never is: its plan may name any file. */
function isLeft(root: string, { owner }: Plan): boolean {
  const state = stateOf(owner);
  if (state !== 'elsewhere') return state === 'dead';
  const swap = join(root, SWAP);
  return sideOf(swap).isLinked && Date.now() - statSync(swap).mtimeMs > STALE;
}

/** @throws OnnxLoraError `FILE_INVALID` for a plan that no process wrote */
function readPlan(swap: string): Plan {
  try {
    const file = join(swap, PLAN);
    if (statSync(file).size > MAX_PLAN_BYTES) throw new Error('it is too large');
    const { owner, files } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Plan>;
    const isRight = typeof owner === 'string' && Array.isArray(files) && files.every((name) => name === null || isInside(swap, name)); // prettier-ignore
    // The renamed files are inside, not behind a link.
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

/** Whether a path stays within the folder of the files, also through links. */
function isInside(swap: string, name: unknown): boolean {
  if (typeof name !== 'string' || isAbsolute(name)) return false;
  const root = dirname(swap);
  const folder = dirname(join(root, name));
  const way = relative(realpathSync(root), existsSync(folder) ? realpathSync(folder) : folder);
  return way.split(/[/\\]/)[0] !== '..' && !isAbsolute(way);
}

/** The current side, and whether links lead to it. */
function sideOf(swap: string): { readonly counts: string; readonly isLinked: boolean } {
  const side = join(swap, SIDE);
  const found = lstatSync(side, { throwIfNoEntry: false });
  if (!found?.isSymbolicLink()) return { counts: found ? NEW : OLD, isLinked: false };
  return { counts: readlinkSync(side) === NEW ? NEW : OLD, isLinked: true };
}

/** A hard link to a file, or a copy of a user's link. */
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

/** Makes renames in a folder survive a power cut, where the system can open a folder (not on Windows). */
export function flush(folder: string): void {
  if (system === 'win32') return;
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** The system's code of an error. */
export function codeOf(cause: unknown): string {
  return (cause as NodeJS.ErrnoException).code ?? '';
}
