/** @file A cache on disk of what takes long to compute: bounded, for several processes, checked on use. */

import { closeSync, createReadStream, existsSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync, writeSync } from '../platform/files.ts'; // prettier-ignore
import { sha256 } from '../platform/hash.ts';
import * as path from '../platform/path.ts';
import { pause } from '../platform/pause.ts';
import { environment } from '../platform/system.ts';
import { OnnxLoraError } from '../errors.ts';
import { makeFolder } from './atomicWriter.ts';
import { cacheFolder } from './cacheFolder.ts';
import { FileLock } from './fileLock.ts';
import { beginWork, endWork, type Owner, ownerOfTemporary, stateOf, temporaryFor } from './owner.ts';
import { sweep } from './sweep.ts';

/** An entry, as `onnx-lora cache` lists it. */
export interface CachedEntry {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** A description for people: `nf4 weights of models/qwen2`. */
  readonly what: string;
  /** Length on disk. */
  readonly bytes: number;
  /** When it was last used, in milliseconds since 1970. */
  readonly used: number;
  /** Whether a running process uses it. */
  readonly inUse: boolean;
}

/** The content of an entry. */
export interface Prepared<Facts> {
  /** File with the bytes that were written, at their offsets. */
  readonly file: string;
  /** The result of preparing it, such as the offsets of its parts. */
  readonly facts: Facts;
}

/** Appends bytes to an entry's file, and returns their offset, a multiple of a page. */
export type WriteBytes = (bytes: Uint8Array) => number;

interface Manifest<Facts> {
  readonly format: typeof FORMAT;
  readonly what: string;
  readonly bytes: number;
  readonly digest: string;
  readonly facts: Facts;
}

const FORMAT = 1;
const MANIFEST = 'manifest.json';
const DATA = 'data';
const IN_USE = 'in-use';
const ID = /^[0-9a-f]{64}$/;
const PAGE = 4096;
/** Milliseconds between looks at an entry that another process prepares. */
const LOOK = 200;
const DEFAULT_MB = 20_000;

/** Marks the entries of this process, until it ends. */
let owner: Owner | undefined;

/** A cache in a folder, for any number of processes. */
export class PreparedCache {
  /** The folder, which may be missing. */
  readonly root: string;
  /** Bytes that unused entries may take with all others. */
  readonly maxBytes: number;
  /** Entries whose bytes this process has verified. */
  readonly #verified = new Set<string>();

  /** A cache in a folder, by default bounded by the environment's `ONNX_LORA_CACHE_MB`, or 20 GB. */
  constructor(root: string = cacheFolder('prepared'), maxBytes: number = megabytes() * 1e6) {
    this.root = root;
    this.maxBytes = maxBytes;
  }

  /**
   * The entry of a key; prepares it first, unless another process does so meanwhile. Undefined where the system
   * refuses to write, or the cache may hold nothing.
   * @param key everything that the result depends on
   * @throws what `prepare` throws
   */
  async use<Facts>(
    key: readonly string[],
    what: string,
    prepare: (write: WriteBytes) => Promise<Facts>,
  ): Promise<Prepared<Facts> | undefined> {
    if (this.maxBytes <= 0) return undefined;
    const id = sha256().update(JSON.stringify([FORMAT, ...key])).digest('hex'); // prettier-ignore
    try {
      makeFolder(this.root);
      sweep(this.root);
      for (;;) {
        const found = await this.#read<Facts>(id);
        if (found) return found;
        const lock = FileLock.take(path.join(this.root, `${id}.lock`));
        if (lock instanceof FileLock) {
          try {
            return (await this.#read<Facts>(id)) ?? (await this.#prepare(id, what, prepare));
          } finally {
            lock.release();
          }
        }
        await pause(LOOK);
      }
    } catch (cause) {
      if (cause instanceof Refused) return undefined;
      if (cause instanceof OnnxLoraError || !('code' in (cause as object))) throw cause;
      return undefined;
    }
  }

  /** The entries, least recently used first. */
  entries(): readonly CachedEntry[] {
    const ids = existsSync(this.root) ? readdirSync(this.root).filter((name) => ID.test(name)) : [];
    return ids
      .flatMap((id) => {
        const manifest = this.#manifest(id);
        if (!manifest) return [];
        const used = statSync(this.#path(id, MANIFEST)).mtimeMs;
        return [{ id, what: manifest.what, bytes: manifest.bytes, used, inUse: this.#inUse(id) }];
      })
      .toSorted((a, b) => a.used - b.used);
  }

  /** Removes entries that no running process uses; returns those. */
  clear(): readonly CachedEntry[] {
    return this.entries().filter(({ id, inUse }) => !inUse && this.#remove(id));
  }

  async #prepare<Facts>(
    id: string,
    what: string,
    prepare: (write: WriteBytes) => Promise<Facts>,
  ): Promise<Prepared<Facts> | undefined> {
    const work = beginWork();
    const staged = temporaryFor(this.#path(id), work);
    makeFolder(staged);
    const descriptor = openSync(path.join(staged, DATA), 'wx', 0o600);
    const hash = sha256();
    let end = 0;
    const append = (bytes: Uint8Array): void => {
      hash.update(bytes);
      for (let done = 0; done < bytes.length;)
        done += writeSync(descriptor, bytes, done, bytes.length - done, end + done);
      end += bytes.length;
    };
    const write: WriteBytes = (bytes) => {
      const at = end;
      try {
        append(bytes);
        append(new Uint8Array((PAGE - (end % PAGE)) % PAGE));
      } catch {
        throw new Refused();
      }
      return at;
    };
    try {
      const facts = await prepare(write);
      const manifest: Manifest<Facts> = { format: FORMAT, what, bytes: end, digest: hash.digest('hex'), facts };
      writeFileSync(path.join(staged, MANIFEST), JSON.stringify(manifest), { mode: 0o600 });
      this.#mark(staged);
      rmSync(this.#path(id), { recursive: true, force: true });
      renameSync(staged, this.#path(id));
      this.#verified.add(id);
      this.#touch(id);
      this.#makeRoom();
      return { file: this.#path(id, DATA), facts };
    } finally {
      closeSync(descriptor);
      rmSync(staged, { recursive: true, force: true });
      endWork(work);
    }
  }

  /** The entry, marked as used; undefined for a missing or damaged one. */
  async #read<Facts>(id: string): Promise<Prepared<Facts> | undefined> {
    const manifest = this.#manifest<Facts>(id);
    const file = this.#path(id, DATA);
    if (!manifest) return undefined;
    // Marked first, so that no other process removes it while it is read.
    this.#mark(this.#path(id));
    if (!this.#verified.has(id) && (await digestOf(file)) !== manifest.digest) return undefined;
    this.#verified.add(id);
    this.#touch(id);
    return { file, facts: manifest.facts };
  }

  #manifest<Facts>(id: string): Manifest<Facts> | undefined {
    try {
      const found = JSON.parse(readFileSync(this.#path(id, MANIFEST), 'utf8')) as Manifest<Facts>;
      const isWhole = found.format === FORMAT && statSync(this.#path(id, DATA)).size === found.bytes;
      return isWhole ? found : undefined;
    } catch {
      return undefined;
    }
  }

  /** Notes that an entry is used now: by one clock, since a file system's own may lag behind by milliseconds. */
  #touch(id: string): void {
    const now = new Date();
    utimesSync(this.#path(id, MANIFEST), now, now);
  }

  #mark(folder: string): void {
    owner ??= beginWork();
    writeFileSync(temporaryFor(path.join(folder, IN_USE), owner), '');
  }

  #inUse(id: string): boolean {
    return readdirSync(this.#path(id)).some((name) => {
      const user = ownerOfTemporary(name);
      return user !== undefined && stateOf(user) !== 'dead';
    });
  }

  #makeRoom(): void {
    const entries = this.entries();
    let held = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { id, bytes, inUse } of entries) {
      if (held <= this.maxBytes) return;
      if (!inUse && this.#remove(id)) held -= bytes;
    }
  }

  /** Removes an entry at once, so that nothing reads a part of it. */
  #remove(id: string): boolean {
    const work = beginWork();
    const aside = temporaryFor(this.#path(id), work);
    try {
      renameSync(this.#path(id), aside);
      rmSync(aside, { recursive: true, force: true });
      return true;
    } catch {
      return false;
    } finally {
      endWork(work);
    }
  }

  #path(...names: readonly string[]): string {
    return path.join(this.root, ...names);
  }
}

/** The system refuses to write. */
class Refused extends Error {}

async function digestOf(file: string): Promise<string | undefined> {
  const hash = sha256();
  try {
    for await (const block of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(block as Uint8Array);
  } catch {
    return undefined;
  }
  return hash.digest('hex');
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a variable that is no number */
function megabytes(): number {
  const text = environment['ONNX_LORA_CACHE_MB'];
  if (!text) return DEFAULT_MB;
  const given = Number(text);
  if (Number.isInteger(given) && given >= 0) return given;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The environment variable ONNX_LORA_CACHE_MB is ${JSON.stringify(text.slice(0, 40))}, but must be a whole number of megabytes. Set it to what prepared weights may take on the disk, 0 for nothing, or unset it.`,
  );
}
