/** @file Writes single files, whole or piece by piece, so that a reader, or a crash, never meets half of one. */

import { existsSync, mkdirSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { beginWork, endWork, type Owner, temporaryFor } from './owner.ts';
import { sweep, unsweep } from './sweep.ts';
import { OnnxLoraError } from '../errors.ts';

/** Small pieces are gathered up to so many bytes. */
const GATHERED = 1 << 20;

/**
 * A file on its way: a temporary one in the same folder, which takes the place of `path` with {@link AtomicWriter.finish}. Each of
 * its methods fails with `FILE_INVALID` where the system refuses (rights, a full disk).
 */
export class AtomicWriter {
  readonly #path: string;
  readonly #owner: Owner;
  readonly #handle: FileHandle;
  #gathered: Uint8Array[] = [];
  #waiting = 0;
  #written = 0;

  private constructor(path: string, owner: Owner, handle: FileHandle) {
    this.#path = path;
    this.#owner = owner;
    this.#handle = handle;
  }

  /**
   * Begins one. Missing folders are made.
   *
   * @throws OnnxLoraError `FILE_INVALID` when folder or file cannot be made
   */
  static async create(path: string): Promise<AtomicWriter> {
    const owner = beginWork();
    try {
      makeFolder(dirname(path));
      return new AtomicWriter(path, owner, await open(temporaryFor(path, owner), 'wx+'));
    } catch (cause) {
      endWork(owner);
      throw writeFailed(path, cause);
    }
  }

  /** Bytes that it has. */
  get size(): number {
    return this.#written + this.#waiting;
  }

  /**
   * Adds bytes, or text as UTF-8, behind all others. The bytes must stay as they are until they are written.
   *
   * @throws OnnxLoraError `FILE_INVALID` when the file system refuses
   */
  async append(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    this.#gathered.push(bytes);
    this.#waiting += bytes.length;
    if (this.#waiting >= GATHERED) await this.#flush();
  }

  /**
   * Writes over bytes that are there.
   *
   * @throws OnnxLoraError `FILE_INVALID` when the file system refuses
   */
  async patch(bytes: Uint8Array, at: number): Promise<void> {
    await this.#flush();
    await this.#write(bytes, at);
  }

  /** What it has, in pieces, from the beginning. */
  async *content(): AsyncGenerator<Uint8Array> {
    await this.#flush();
    for (let at = 0; at < this.#written;) {
      const piece = new Uint8Array(Math.min(GATHERED, this.#written - at));
      const { bytesRead } = await this.#handle.read(piece, 0, piece.length, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  }

  /**
   * Makes it the file at its path.
   *
   * @throws OnnxLoraError `FILE_INVALID` when the file system refuses; nothing is left then
   */
  async finish(): Promise<void> {
    try {
      await this.#flush();
      await this.#handle.sync();
      await this.#handle.close();
      await rename(temporaryFor(this.#path, this.#owner), this.#path);
      await flushFolder(dirname(this.#path));
      endWork(this.#owner);
      sweep(dirname(this.#path));
    } catch (cause) {
      await this.abort();
      throw writeFailed(this.#path, cause);
    }
  }

  /** Takes back what was written. */
  async abort(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await discard(temporaryFor(this.#path, this.#owner));
    endWork(this.#owner);
  }

  async #flush(): Promise<void> {
    // One piece may be all of a model, of which no copy is made.
    const [first] = this.#gathered;
    const bytes = first && this.#gathered.length === 1 ? first : Buffer.concat(this.#gathered);
    [this.#gathered, this.#waiting] = [[], 0];
    await this.#write(bytes, this.#written);
    this.#written += bytes.length;
  }

  async #write(bytes: Uint8Array, at: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, at + done);
        done += bytesWritten;
      }
    } catch (cause) {
      throw writeFailed(this.#path, cause);
    }
  }
}

/**
 * Writes a file so that its path holds either the old content or all of the new: a temporary file in the same folder
 * is written and flushed to the disk, then renamed. Missing folders are made; a failure leaves no temporary file, and what a
 * killed process has left goes with the next one that is written.
 *
 * @throws OnnxLoraError `FILE_INVALID` when the system refuses (rights, a full disk, a folder at that path).
 */
export async function writeFileAtomic(path: string, data: Uint8Array | string): Promise<void> {
  const file = await AtomicWriter.create(path);
  try {
    await file.append(data);
  } catch (cause) {
    await file.abort();
    throw cause;
  }
  await file.finish();
}

/** Writes a new file and waits until the disk has it. */
export async function writeFlushed(path: string, data: Uint8Array | string): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(data);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes renames in a folder survive a power cut, where the system lets a folder be opened (Windows does not). */
export async function flushFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what may be there; that it cannot is never worth hiding the error that led here. */
async function discard(path: string): Promise<void> {
  unsweep(dirname(path));
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

/** What a user is told of a file that could not be written. */
export function writeFailed(path: string, cause: unknown): OnnxLoraError {
  if (cause instanceof OnnxLoraError) return cause;
  return new OnnxLoraError(
    'FILE_INVALID',
    `"${path}" could not be written: ${(cause as Error).message}. Check the path, its rights and the free space.`,
    { cause },
  );
}

/**
 * Refuses to write over files, unless that is wanted, before any work.
 *
 * @throws OnnxLoraError `FILE_INVALID` for a file that is there
 */
export function requireUnused(
  files: readonly string[],
  { overwrite }: { readonly overwrite?: boolean | undefined },
): void {
  if (overwrite) return;
  const found = files.find((file) => existsSync(file));
  if (found === undefined) return;
  throw new OnnxLoraError(
    'FILE_INVALID',
    `"${found}" is there already. Name another place, or replace it (overwrite: true; --overwrite).`,
  );
}

/**
 * Makes a folder, and those above it, where they are missing. The `recursive` of Node's own never returns where the system says
 * that a folder is missing which is there, as it says of /proc.
 *
 * @throws Error the system's
 */
export function makeFolder(folder: string): void {
  const whole = resolve(folder);
  if (existsSync(whole)) return;
  if (dirname(whole) !== whole) makeFolder(dirname(whole));
  try {
    mkdirSync(whole);
  } catch (cause) {
    // Somebody else may have made it in the meantime.
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  }
}

/**
 * Two files that grow together, or none.
 *
 * @throws OnnxLoraError `FILE_INVALID` as {@link AtomicWriter.create}
 */
export async function atomicWriters(first: string, second: string): Promise<[AtomicWriter, AtomicWriter]> {
  const file = await AtomicWriter.create(first);
  try {
    return [file, await AtomicWriter.create(second)];
  } catch (error) {
    await file.abort();
    throw error;
  }
}
