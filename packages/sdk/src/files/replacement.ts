/** @file Replaces several files at once: readers see all of the old ones or all of the new. */

import { compareBytes } from '../platform/bytes.ts';
import { kept, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from '../platform/files.ts';
import { basename, dirname, join, resolve } from '../platform/path.ts';
import { OnnxLoraError } from '../errors.ts';
import { beginWork, endWork, type Owner, temporaryFor } from './owner.ts';
import { codeOf, flush, NEW, type Plan, settle, SWAP, SwapFolder, waitABit } from './swapFolder.ts';
import { sweep, unsweep } from './sweep.ts';
import { makeFolder, writeFailed, writeFlushed } from './atomicWriter.ts';

/** Milliseconds to wait for another replacement in the same folder, which takes a few. */
const PATIENCE = 10_000;
/** Existing files up to this size are compared, and left alone if equal. */
const COMPARED = 16 << 20;

/**
 * A set of files that replaces its predecessors atomically. New files are written to {@link Replacement.pathOf} and
 * moved by {@link Replacement.commit}; other files of the folder stay.
 *
 * A new folder appears at once with all files. A single changed file is renamed into place. Several are first replaced
 * by symbolic links that lead to the old files through a link `side`; then `side` is renamed over to lead to the new
 * ones, in one step; then the new files take the places of the links. A process killed at any point thus leaves all of
 * the old files or all of the new, also for other programs, and the next one to open or write there cleans up
 * ({@link settle}).
 *
 * On file systems without links, old files are moved aside and new ones into place: after a crash, other programs may
 * find files missing until we open or write there, but never a mixture.
 */
export class Replacement {
  /** The folder as the user named it. */
  readonly #folder: string;
  readonly #root: string;
  readonly #owner: Owner;
  readonly #names: string[] = [];
  readonly #gone = new Set<string>();
  /** Folder of the new files. */
  #staged: string;

  private constructor(folder: string, owner: Owner, staged: string) {
    this.#folder = folder;
    this.#root = resolve(folder);
    this.#owner = owner;
    this.#staged = staged;
  }

  /** Starts a replacement, making missing folders. @throws OnnxLoraError `FILE_INVALID` when the system refuses */
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

  /** Path for writing a new file, which must not exist yet; `name` is its path within the folder. */
  pathOf(name: string): string {
    return this.#stagedAt(this.#names.push(name) - 1);
  }

  /** Marks a file for removal. */
  remove(name: string): void {
    this.#names.push(name);
    this.#gone.add(name);
  }

  /** Replaces the files, without yielding. @throws OnnxLoraError `FILE_INVALID`; then the old files stay */
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

  /** Discards the new files. */
  abort(): void {
    endWork(this.#owner);
    try {
      rmSync(this.#staged, { recursive: true, force: true });
    } catch {
      // A failure must not hide the error that led here.
      unsweep(dirname(this.#staged));
    }
  }

  /** Moves the new folder into place; false if another process made one meanwhile. */
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
      // Back to the old files, or whatever the next process can recover.
      swap.finish(this.#owner);
      throw cause;
    }
    swap.finish(this.#owner);
  }

  /** Moves the staging folder to the place of the exchange, which only one process can hold. */
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
    return !isAlike || compareBytes(readFileSync(target), readFileSync(this.#stagedAt(at))) !== 0;
  }

  #stagedAt(at: number): string {
    return join(this.#staged, NEW, String(at));
  }
}

/**
 * Writes files into a folder atomically, such as those of a PEFT adapter: a {@link Replacement}.
 * @param files contents by plain file name; null removes a file
 * @throws OnnxLoraError `INPUT_INVALID` for a name with a folder in it, `FILE_INVALID` when the system refuses
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
  await kept(folder);
}
