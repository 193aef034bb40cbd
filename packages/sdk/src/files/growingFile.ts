/** @file A file that is written piece by piece and is there when it is whole. */

import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { beginWork, endWork, type Owner, temporaryFor } from './owner.ts';
import { sweep } from './sweep.ts';
import { discard, flushFolder, writeFailed } from './wholeFile.ts';

/** Small pieces are gathered up to so many bytes. */
const GATHERED = 1 << 20;

/**
 * A file on its way: a temporary one in the same folder, which takes the place of `path` with {@link GrowingFile.finish}. Each of
 * its methods fails with `FILE_INVALID` where the system refuses (rights, a full disk).
 */
export class GrowingFile {
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
  static async create(path: string): Promise<GrowingFile> {
    const owner = beginWork();
    try {
      await mkdir(dirname(path), { recursive: true });
      return new GrowingFile(path, owner, await open(temporaryFor(path, owner), 'wx+'));
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
    const bytes = Buffer.concat(this.#gathered);
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
 * Two files that grow together, or none.
 *
 * @throws OnnxLoraError `FILE_INVALID` as {@link GrowingFile.create}
 */
export async function growingFiles(first: string, second: string): Promise<[GrowingFile, GrowingFile]> {
  const file = await GrowingFile.create(first);
  try {
    return [file, await GrowingFile.create(second)];
  } catch (error) {
    await file.abort();
    throw error;
  }
}
