/** @file Writes files atomically, whole or in pieces: readers and crashes never see a partial file. */

import { concatBytes, utf8 } from '../platform/bytes.ts';
import { existsSync, type FileHandle, kept, mkdirSync, open, rename, rm } from '../platform/files.ts';
import { dirname, resolve } from '../platform/path.ts';
import { system } from '../platform/system.ts';
import { beginWork, endWork, type Owner, temporaryFor } from './owner.ts';
import { sweep, unsweep } from './sweep.ts';
import { OnnxLoraError } from '../errors.ts';

const GATHERED = 1 << 20;

/** A temporary file that replaces `path` on {@link AtomicWriter.finish}. All methods may fail with `FILE_INVALID`. */
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

  /** Starts a file, making missing folders. @throws OnnxLoraError `FILE_INVALID` if folder or file cannot be made */
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

  /** Size in bytes. */
  get size(): number {
    return this.#written + this.#waiting;
  }

  /** Appends bytes, which must not change until written, or text as UTF-8. @throws OnnxLoraError `FILE_INVALID` */
  async append(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === 'string' ? utf8(data) : data;
    this.#gathered.push(bytes);
    this.#waiting += bytes.length;
    if (this.#waiting >= GATHERED) await this.#flush();
  }

  /** Overwrites bytes at `at`. @throws OnnxLoraError `FILE_INVALID` when the file system refuses */
  async patch(bytes: Uint8Array, at: number): Promise<void> {
    await this.#flush();
    await this.#write(bytes, at);
  }

  /** The content so far, in pieces. */
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

  /** Moves the file to its path, or leaves nothing. @throws OnnxLoraError `FILE_INVALID` if the system refuses */
  async finish(): Promise<void> {
    try {
      await this.#flush();
      await this.#handle.sync();
      await this.#handle.close();
      await rename(temporaryFor(this.#path, this.#owner), this.#path);
      await flushFolder(dirname(this.#path));
      await kept(this.#path);
      endWork(this.#owner);
      sweep(dirname(this.#path));
    } catch (cause) {
      await this.abort();
      throw writeFailed(this.#path, cause);
    }
  }

  /** Discards the file. */
  async abort(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await discard(temporaryFor(this.#path, this.#owner));
    endWork(this.#owner);
  }

  async #flush(): Promise<void> {
    // A single piece may be a whole model, and is not copied.
    const [first] = this.#gathered;
    const bytes = first && this.#gathered.length === 1 ? first : concatBytes(this.#gathered);
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

/** Fills a file and completes it, or discards it if that fails. */
export async function filled<File extends Pick<AtomicWriter, 'finish' | 'abort'>>(
  file: File,
  fill: (file: File) => Promise<void>,
): Promise<void> {
  try {
    await fill(file);
  } catch (cause) {
    await file.abort();
    throw cause;
  }
  await file.finish();
}

/**
 * Writes a file so that its path has either the old content or all of the new: a temporary file in the same folder is
 * flushed to disk, then renamed. Missing folders are made. A failure leaves no temporary file; those of killed
 * processes are removed by the next write.
 * @throws OnnxLoraError `FILE_INVALID` when the system refuses (permissions, a full disk, a folder at that path)
 */
export async function writeFileAtomic(path: string, data: Uint8Array | string): Promise<void> {
  await filled(await AtomicWriter.create(path), (file) => file.append(data));
}

/** Writes a new file and flushes it to disk. */
export async function writeFlushed(path: string, data: Uint8Array | string): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(data);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes renames in a folder survive a power cut, where the system can open a folder (not on Windows). */
export async function flushFolder(folder: string): Promise<void> {
  if (system === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes a path, if it exists; a failure must not hide the error that led here. */
async function discard(path: string): Promise<void> {
  unsweep(dirname(path));
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

/** The error for a file that could not be written. */
export function writeFailed(path: string, cause: unknown): OnnxLoraError {
  if (cause instanceof OnnxLoraError) return cause;
  return new OnnxLoraError(
    'FILE_INVALID',
    `"${path}" could not be written: ${(cause as Error).message}. Check the path, its rights and the free space.`,
    { cause },
  );
}

/** Refuses to overwrite files, unless `overwrite`. @throws OnnxLoraError `FILE_INVALID` for an existing file */
export function refuseOverwrite(
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

/** Makes a folder and its parents. Node's `recursive` hangs where the system denies existing folders, as in /proc. */
export function makeFolder(folder: string): void {
  const whole = resolve(folder);
  if (existsSync(whole)) return;
  if (dirname(whole) !== whole) makeFolder(dirname(whole));
  try {
    mkdirSync(whole);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  }
}

/** Opens two files, or none. @throws OnnxLoraError `FILE_INVALID` as {@link AtomicWriter.create} */
export async function atomicWriters(first: string, second: string): Promise<[AtomicWriter, AtomicWriter]> {
  const file = await AtomicWriter.create(first);
  try {
    return [file, await AtomicWriter.create(second)];
  } catch (error) {
    await file.abort();
    throw error;
  }
}
