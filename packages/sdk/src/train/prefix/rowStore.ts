/** @file Stores a row of bytes per example, in memory or in a temporary file of one run. */

import { type FileHandle, open, rm } from '../../platform/files.ts';
import { crc32 } from '../../platform/hash.ts';
import * as path from '../../platform/path.ts';
import { processId, system } from '../../platform/system.ts';
import { OnnxLoraError } from '../../errors.ts';
import { makeFolder } from '../../files/atomicWriter.ts';

/** Stores rows by key, as many as fit. */
export interface RowStore {
  /** The row of a key, not to be modified; undefined if never written, not stored or damaged. */
  read(key: string): Promise<Uint8Array | undefined>;
  /** Stores a row if it fits, and returns whether it did. The row must not be modified later. */
  write(key: string, row: Uint8Array): Promise<boolean>;
  /** Releases everything. */
  release(): Promise<void>;
}

/**
 * Stores rows in memory until `limit` bytes are held, without eviction. Each epoch reads every example once in a new
 * random order. With room for a share p of the examples, p of all reads succeed. Evicting the least recently used would
 * lose most rows before their next read: one read after a share a of an epoch and b of the next only survives if at
 * most p of all rows came in between, (1 − a) + a·b of them, which gives p + (1 − p)·ln(1 − p) on average: 0.15 if half
 * of the rows fit.
 */
export class MemoryRows implements RowStore {
  readonly #limit: number;
  readonly #rows = new Map<string, Uint8Array>();
  #bytes = 0;

  /** @param limit in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#bytes;
  }

  read(key: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#rows.get(key));
  }

  write(key: string, row: Uint8Array): Promise<boolean> {
    const isNew = !this.#rows.has(key);
    if (isNew && this.#bytes + row.byteLength > this.#limit) return Promise.resolve(false);
    if (isNew) {
      this.#bytes += row.byteLength;
      this.#rows.set(key, row);
    }
    return Promise.resolve(true);
  }

  release(): Promise<void> {
    this.#rows.clear();
    this.#bytes = 0;
    return Promise.resolve();
  }
}

interface Place {
  readonly offset: number;
  readonly length: number;
  readonly checksum: number;
}

/**
 * Stores rows in a file until `limit` bytes are written. Their offsets are only in memory, so no later run can read
 * rows of another model. A row that cannot be read back intact counts as missing; if writing fails, as on a full disk,
 * nothing more is stored.
 */
export class RowFile implements RowStore {
  readonly #file: FileHandle;
  /** Path to remove at the end; undefined if already unlinked. */
  readonly #path: string | undefined;
  readonly #places = new Map<string, Place>();
  #room: number;
  #end = 0;

  /** @param where path to remove at the end, if any */
  constructor(file: FileHandle, where: string | undefined, limit: number) {
    this.#file = file;
    this.#path = where;
    this.#room = limit;
  }

  /**
   * Creates the file, and its folder if needed. On systems that allow it, the open file is unlinked at once, so that
   * its space is freed even after a crash.
   * @param limit in bytes
   * @throws OnnxLoraError `CONFIG_INVALID` for a folder that cannot be written
   */
  static async create(folder: string, limit: number): Promise<RowFile> {
    const where = path.join(folder, `prefix-${processId}-${Date.now()}-${count++}.rows`);
    try {
      makeFolder(folder);
      const file = await open(where, 'wx+');
      const isNameless = system !== 'win32';
      if (isNameless) await rm(where);
      return new RowFile(file, isNameless ? undefined : where, limit);
    } catch (cause) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `Values of the frozen prefix cannot be kept in "${folder}": ${(cause as Error).message}. Choose a folder that can be written, or leave it out to keep them in memory (cachePrefix).`,
        { cause },
      );
    }
  }

  async read(key: string): Promise<Uint8Array | undefined> {
    const place = this.#places.get(key);
    if (!place) return undefined;
    const row = new Uint8Array(place.length);
    const isWhole = await this.#file.read(row, 0, place.length, place.offset).then(
      ({ bytesRead }) => bytesRead === place.length && crc32(row) === place.checksum,
      () => false,
    );
    return isWhole ? row : undefined;
  }

  async write(key: string, row: Uint8Array): Promise<boolean> {
    const known = this.#places.get(key);
    // A damaged row is rewritten in place.
    const offset = known?.length === row.byteLength ? known.offset : this.#end;
    if (offset === this.#end && row.byteLength > this.#room) return false;
    try {
      const { bytesWritten } = await this.#file.write(row, 0, row.byteLength, offset);
      if (bytesWritten < row.byteLength) throw new Error('the disk is full');
    } catch {
      this.#room = 0;
      return false;
    }
    if (offset === this.#end) {
      this.#end += row.byteLength;
      this.#room -= row.byteLength;
    }
    this.#places.set(key, { offset, length: row.byteLength, checksum: crc32(row) });
    return true;
  }

  async release(): Promise<void> {
    this.#places.clear();
    await this.#file.close();
    if (this.#path !== undefined) await rm(this.#path, { force: true });
  }
}

let count = 0;
