/** @file A disk cache of remote adapters: bounded, LRU, with atomic entries. */

import { randomUUID } from 'node:crypto';
import { readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { FileLock } from '@onnx-lora/sdk/core';
import { flushFolder, makeFolder, writeFileAtomic } from '@onnx-lora/sdk/data';
import { z } from 'zod';
import { digestOf } from './incoming.ts';

export interface CacheEntry {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly source: string;
  readonly name: string;
  readonly bytes: number;
}

const MANIFEST_FILE = 'manifest.json';
const INCOMING = '~incoming';
const LOCK_FILE = '~lock';
const ID = /^[0-9a-f]{64}$/;

const manifestSchema = z.object({
  format: z.literal(1),
  source: z.string(),
  name: z.string(),
  bytes: z.int().min(0),
  /** sha256 of the downloaded files. */
  digest: z.string().regex(ID),
});

interface Kept extends CacheEntry {
  readonly digest: string;
}

/**
 * Opens a folder that one process has at a time.
 * @param what starts the message about another process: `The cache "…" is that of`
 * @throws OnnxLoraError `FILE_INVALID` where another process has it
 */
export async function openLocked<T>(root: string, what: string, open: (lock: FileLock) => Promise<T>): Promise<T> {
  makeFolder(root);
  const lock = FileLock.take(path.join(root, LOCK_FILE));
  if (!(lock instanceof FileLock)) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `${what} another server, process ${lock.pid} on ${lock.host}. Stop that, or name another folder.`,
    );
  }
  try {
    return await open(lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** A cache in a folder, used by one process at a time and persistent. */
export class DiskCache {
  readonly #root: string;
  readonly #maxBytes: number;
  readonly #lock: FileLock;
  /** Least recently used first. */
  readonly #kept = new Map<string, Kept>();
  readonly #filling = new Map<string, Promise<void>>();
  /** Readers of each entry: entries in use are not evicted. */
  readonly #inUse = new Map<string, number>();
  /** Entries whose digest has been verified. */
  readonly #verified = new Set<string>();
  /** Bytes reserved for downloads. */
  #coming = 0;
  readonly #waiting: (() => void)[] = [];

  private constructor(root: string, maxBytes: number, lock: FileLock) {
    this.#root = root;
    this.#maxBytes = maxBytes;
    this.#lock = lock;
  }

  /**
   * Opens or creates a cache; removes partial downloads and damaged entries.
   * @throws OnnxLoraError `FILE_INVALID` where another process has it
   */
  static async open(root: string, maxBytes: number): Promise<DiskCache> {
    return openLocked(root, `The cache "${root}" is that of`, async (lock) => {
      const cache = new DiskCache(root, maxBytes, lock);
      await cache.#read();
      return cache;
    });
  }

  /** The entries, most recently used last. */
  get entries(): readonly CacheEntry[] {
    return [...this.#kept.values()];
  }

  /**
   * Reads an adapter, downloading it first if absent.
   * @throws OnnxLoraError `FILE_INVALID` for one larger than the cache; as `fill` and `read`
   */
  async use<T>(
    id: string,
    about: Omit<CacheEntry, 'id'>,
    fill: (folder: string) => Promise<unknown>,
    read: (folder: string) => Promise<T>,
  ): Promise<T> {
    this.#inUse.set(id, (this.#inUse.get(id) ?? 0) + 1);
    try {
      await this.#filled({ id, ...about }, fill);
      return await read(path.join(this.#root, id));
    } finally {
      const left = this.#inUse.get(id)! - 1;
      if (left === 0) this.#inUse.delete(id);
      else this.#inUse.set(id, left);
      this.#wake();
    }
  }

  close(): void {
    this.#lock.release();
  }

  #filled(entry: CacheEntry, fill: (folder: string) => Promise<unknown>): Promise<void> {
    const filling =
      this.#filling.get(entry.id) ?? this.#fill(entry, fill).finally(() => this.#filling.delete(entry.id));
    this.#filling.set(entry.id, filling);
    return filling;
  }

  async #fill({ id, source, name, bytes }: CacheEntry, fill: (folder: string) => Promise<unknown>): Promise<void> {
    if (await this.#isWhole(id)) return;
    await this.#makeRoom(bytes);
    const staged = path.join(this.#root, INCOMING, randomUUID());
    try {
      makeFolder(staged);
      await fill(staged);
      const kept = { source, name, bytes, digest: await digestOf(staged) };
      await writeFileAtomic(path.join(staged, MANIFEST_FILE), JSON.stringify({ format: 1, ...kept }));
      await rename(staged, path.join(this.#root, id));
      await flushFolder(this.#root);
      this.#kept.set(id, { id, ...kept });
      this.#verified.add(id);
    } finally {
      this.#coming -= bytes;
      this.#wake();
      await rm(staged, { recursive: true, force: true });
    }
  }

  /** Whether an intact entry exists; marks it as used, and removes a damaged one. */
  async #isWhole(id: string): Promise<boolean> {
    const kept = this.#kept.get(id);
    if (!kept) return false;
    const folder = path.join(this.#root, id);
    const digest = this.#verified.has(id) ? kept.digest : await digestOf(folder).catch(() => undefined);
    if (digest !== kept.digest) {
      await this.#remove(id);
      return false;
    }
    this.#verified.add(id);
    this.#kept.delete(id);
    this.#kept.set(id, kept);
    const now = new Date();
    await utimes(path.join(folder, MANIFEST_FILE), now, now).catch(() => undefined);
    return true;
  }

  /** Evicts entries until there is room; waits while all are in use or downloading. */
  async #makeRoom(bytes: number): Promise<void> {
    if (bytes > this.#maxBytes) {
      throw new OnnxLoraError(
        'FILE_INVALID',
        `The adapter has ${bytes} bytes, and the cache on the disk may have ${this.#maxBytes}. Give the cache more (cache.maxBytes).`,
      );
    }
    for (;;) {
      const gone: Promise<void>[] = [];
      let held = [...this.#kept.values()].reduce((sum, each) => sum + each.bytes, this.#coming);
      for (const { id, bytes: freed } of this.#kept.values()) {
        if (held + bytes <= this.#maxBytes) break;
        if (this.#inUse.has(id)) continue;
        held -= freed;
        gone.push(this.#remove(id));
      }
      const hasRoom = held + bytes <= this.#maxBytes;
      const changed = hasRoom ? undefined : new Promise<void>((resolve) => this.#waiting.push(resolve));
      if (hasRoom) this.#coming += bytes;
      await Promise.all(gone);
      if (hasRoom) return;
      await changed;
    }
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #remove(id: string): Promise<void> {
    this.#kept.delete(id);
    this.#verified.delete(id);
    // Renamed first, so that nothing reads a partial entry.
    const aside = path.join(this.#root, INCOMING, randomUUID());
    makeFolder(path.dirname(aside));
    await rename(path.join(this.#root, id), aside).catch(() => undefined);
    await rm(aside, { recursive: true, force: true });
  }

  async #read(): Promise<void> {
    await rm(path.join(this.#root, INCOMING), { recursive: true, force: true });
    const found: { readonly kept: Kept; readonly used: number }[] = [];
    for (const id of (await readdir(this.#root)).filter((each) => ID.test(each))) {
      const file = path.join(this.#root, id, MANIFEST_FILE);
      try {
        const manifest = manifestSchema.parse(JSON.parse(await readFile(file, 'utf8')));
        found.push({ kept: { id, ...manifest }, used: (await stat(file)).mtimeMs });
      } catch {
        // Damaged: it can be downloaded again.
        await rm(path.join(this.#root, id), { recursive: true, force: true });
      }
    }
    for (const { kept } of found.sort((a, b) => a.used - b.used)) this.#kept.set(kept.id, kept);
    await this.#makeRoom(0);
  }
}
