/** @file Writes files that belong together so that every reader finds all of the old ones or all of the new. */

import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { OnnxLoraError } from '../errors.ts';
import { beginWork, endWork, type Owner, temporaryFor } from './owner.ts';
import { codeOf, flush, NEW, type Plan, settle, SWAP, SwapFolder, waitABit } from './swapFolder.ts';
import { sweep, unsweep } from './sweep.ts';
import { makeFolder, writeFailed, writeFlushed } from './atomicWriter.ts';

/** How long to wait for another process that replaces files in the same folder, in milliseconds: that takes a few. */
const PATIENCE = 10_000;
/** Files up to this size are compared with those that are there, and left alone where they are the same. */
const COMPARED = 16 << 20;

/**
 * Files that belong together, on their way into a folder. They are written to {@link Replacement.pathOf}, and take their places
 * with {@link Replacement.commit}. Other files of the folder stay.
 *
 * A folder that is not there yet appears at once, with everything in it. Where one file changes, it is renamed into its place.
 * Where several do, each is first replaced by a symbolic link that leads to the old one through a link `side`; then `side` is
 * renamed over, which leads to the new ones and is one step for whoever reads; then the new files take the places of the links. A
 * process that is killed at any point so leaves all of the old or all of the new, also for other programs, and whoever opens
 * or writes there next clears up ({@link settle}).
 *
 * Where the file system has no links, old files are moved aside and new ones into their places: after a crash other programs
 * may find files missing until we open or write there, but never a mixture.
 */
export class Replacement {
  /** As the user named it. */
  readonly #folder: string;
  readonly #root: string;
  readonly #owner: Owner;
  readonly #names: string[] = [];
  readonly #gone = new Set<string>();
  /** Where new files wait. */
  #staged: string;

  private constructor(folder: string, owner: Owner, staged: string) {
    this.#folder = folder;
    this.#root = resolve(folder);
    this.#owner = owner;
    this.#staged = staged;
  }

  /**
   * Begins one. Missing folders are made.
   *
   * @throws OnnxLoraError `FILE_INVALID` when the system refuses
   */
  static begin(folder: string): Replacement {
    const root = resolve(folder);
    const owner = beginWork();
    try {
      const found = statSync(root, { throwIfNoEntry: false });
      const staged = temporaryFor(found ? join(root, SWAP) : root, owner);
      if (found && !found.isDirectory())
        throw new OnnxLoraError('FILE_INVALID', `"${folder}" is a file, and a folder is to be written. Name another place.`); // prettier-ignore
      makeFolder(dirname(staged));
      mkdirSync(staged);
      mkdirSync(join(staged, NEW));
      return new Replacement(folder, owner, staged);
    } catch (cause) {
      endWork(owner);
      throw writeFailed(folder, cause);
    }
  }

  /**
   * Where to write a new file, which must not be there yet.
   *
   * @param name its path from the folder
   */
  pathOf(name: string): string {
    return this.#stagedAt(this.#names.push(name) - 1);
  }

  /** Says that a file shall not be there any more. */
  remove(name: string): void {
    this.#names.push(name);
    this.#gone.add(name);
  }

  /**
   * Lets the new files take their places. It takes a few milliseconds, in which no other work of this thread gets its turn.
   *
   * @throws OnnxLoraError `FILE_INVALID` when the system refuses; the old files are there then
   */
  commit(): void {
    const parent = dirname(this.#root);
    try {
      const isNew = dirname(this.#staged) === parent && this.#appear();
      if (!isNew) this.#replace();
      this.abort();
      sweep(isNew ? parent : this.#root);
    } catch (cause) {
      this.abort();
      throw writeFailed(this.#folder, cause);
    }
  }

  /** Takes back what was written. */
  abort(): void {
    endWork(this.#owner);
    try {
      rmSync(this.#staged, { recursive: true, force: true });
    } catch {
      // That it cannot be removed is never worth hiding the error that led here.
      unsweep(dirname(this.#staged));
    }
  }

  /** Makes the folder, with everything in it; false where somebody else has made it in the meantime. */
  #appear(): boolean {
    const whole = join(this.#staged, 'whole');
    const files = [...this.#names.entries()].filter(([, name]) => !this.#gone.has(name));
    mkdirSync(whole);
    for (const [at, name] of files) {
      makeFolder(dirname(join(whole, name)));
      renameSync(this.#stagedAt(at), join(whole, name));
    }
    flush(whole);
    try {
      renameSync(whole, this.#root);
      flush(dirname(this.#root));
      return true;
    } catch (cause) {
      if (!['ENOTEMPTY', 'EEXIST', 'EPERM', 'EACCES'].includes(codeOf(cause))) throw cause;
      for (const [at, name] of files) renameSync(join(whole, name), this.#stagedAt(at));
      const inside = temporaryFor(join(this.#root, SWAP), this.#owner);
      renameSync(this.#staged, inside);
      this.#staged = inside;
      return false;
    }
  }

  #replace(): void {
    settle(this.#root);
    const changed = this.#names.map((name, at) => (this.#changes(name, at) ? name : null));
    const names = changed.filter((name) => name !== null);
    if (names.length > 1) this.#exchange({ owner: this.#owner, files: changed });
    else if (names[0] !== undefined) {
      const target = join(this.#root, names[0]);
      if (this.#gone.has(names[0])) rmSync(target);
      else renameSync(this.#stagedAt(changed.indexOf(names[0])), target);
      flush(dirname(target));
    }
  }

  #exchange(plan: Plan): void {
    SwapFolder.prepare(this.#staged, plan);
    this.#enter();
    const swap = new SwapFolder(this.#root, plan);
    try {
      swap.exchange();
    } catch (cause) {
      // Back to the old ones, or what is left of it for whoever comes next.
      swap.finish(this.#owner);
      throw cause;
    }
    swap.finish(this.#owner);
  }

  /** Makes the folder with the new files that of the exchange. One process can have it at a time. */
  #enter(): void {
    const swap = join(this.#root, SWAP);
    for (let waited = 0; ; waited += waitABit()) {
      try {
        renameSync(this.#staged, swap);
        return;
      } catch (cause) {
        if (lstatSync(swap, { throwIfNoEntry: false }) === undefined || waited > PATIENCE) throw cause;
      }
      settle(this.#root);
    }
  }

  /** Whether the file is not there already as it shall be. */
  #changes(name: string, at: number): boolean {
    const target = join(this.#folder, name);
    const old = lstatSync(target, { throwIfNoEntry: false });
    if (old?.isDirectory()) {
      throw new OnnxLoraError(
        'FILE_INVALID',
        `"${target}" could not be written: a folder stands there. Remove it, or write to another place.`,
      );
    }
    if (this.#gone.has(name)) return old !== undefined;
    makeFolder(dirname(target));
    const { size } = statSync(this.#stagedAt(at));
    const isAlike = old?.isFile() === true && old.size === size && size <= COMPARED;
    return !isAlike || !readFileSync(target).equals(readFileSync(this.#stagedAt(at)));
  }

  #stagedAt(at: number): string {
    return join(this.#staged, NEW, String(at));
  }
}

/**
 * Writes files that belong together into a folder, such as the two of a PEFT adapter: a {@link Replacement}.
 *
 * @param files contents by plain file name; null for a file that shall not be there any more.
 * @throws OnnxLoraError `INPUT_INVALID` for a name with a folder in it, `FILE_INVALID` when the system refuses.
 */
export async function writeFolderAtomic(
  folder: string,
  files: Readonly<Record<string, Uint8Array | string | null>>,
): Promise<void> {
  for (const name of Object.keys(files)) {
    if (name !== basename(name) || name === '' || name === '.' || name === '..' || name.includes('\\')) {
      throw new OnnxLoraError('INPUT_INVALID', `"${name}" is not a plain file name, so it cannot go into "${folder}".`);
    }
  }
  const replacement = Replacement.begin(folder);
  try {
    for (const [name, data] of Object.entries(files)) {
      if (data === null) replacement.remove(name);
      else await writeFlushed(replacement.pathOf(name), data);
    }
  } catch (cause) {
    replacement.abort();
    throw writeFailed(folder, cause);
  }
  replacement.commit();
}
