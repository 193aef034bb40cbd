/** @file Adapters that clients bring: by name and version, on disk, and there again after a crash. */

import type { KeyObject } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import type { FileLock } from '@onnx-lora/sdk/core';
import { type AdapterCatalog, type AdapterChoiceOptions, type AdapterInfo, noSuchAdapter, type ResolvedAdapter, type StoredVersion } from './catalog.ts'; // prettier-ignore
import { openLocked } from './diskCache.ts';
import { digestOf, loadBounded } from './incoming.ts';
import { chosenShare, readState, type Share, type State, writeState } from './manifest.ts';
import { publicKey, receiveUpload, requireName, type Upload, type UploadRules } from './upload.ts';
import { requireUnused, type Version, Versions } from './versions.ts';

/** Options of {@link AdapterStore.open}. */
export interface StoreOptions extends UploadRules {
  /** Bytes that all adapters may take on disk; no limit by default. */
  readonly maxBytes?: number;
  /** Milliseconds for which what was deleted is still there for requests that were on their way; 60,000 by default. */
  readonly grace?: number;
  /** From 0 to 1, for requests that are split; `Math.random` by default. */
  readonly random?: () => number;
}

/** What is told of an adapter in the store. */
export interface StoredAdapter extends AdapterInfo, StoredVersion {
  /** sha256 of the base's weights, where the adapter knows it. */
  readonly base?: string;
}

/**
 * Adapters in a folder, `NAME/VERSION/adapter_config.json` and `adapter_model.safetensors`. A version is there at once, flushed to
 * the disk, before {@link AdapterStore.upload} resolves; then its name stands for it. Versions never change, so that a request
 * gets the one that it was resolved to. One process has the folder at a time.
 */
export class AdapterStore implements AdapterCatalog, AsyncDisposable {
  readonly #root: string;
  readonly #options: StoreOptions;
  readonly #trusted: readonly KeyObject[];
  readonly #lock: FileLock;
  readonly #versions: Versions;
  #state: State = { current: {}, splits: {}, pinned: [] };
  /** Those that are kept in memory. */
  readonly #pinned = new Map<string, Promise<Adapter>>();
  /** Folders whose files were found to be what their manifests say. */
  readonly #verified = new WeakSet<Version>();
  /** Changes, one after the other. */
  #changes: Promise<unknown> = Promise.resolve();

  private constructor(root: string, options: StoreOptions, lock: FileLock) {
    this.#root = root;
    this.#options = options;
    this.#trusted = (options.keys ?? []).map(publicKey);
    this.#lock = lock;
    this.#versions = new Versions(root, options.grace ?? 60_000);
  }

  /**
   * Opens a store, or makes one. What torn uploads have left is removed.
   *
   * @throws OnnxLoraError `FILE_INVALID` where another process has it, or a file of it is damaged; `CONFIG_INVALID` for a key that
   *   is none
   */
  static async open(root: string, options: StoreOptions = {}): Promise<AdapterStore> {
    return openLocked(root, `The adapters in "${root}" are those of`, async (lock) => {
      const store = new AdapterStore(root, options, lock);
      await store.#versions.clean();
      await store.reload();
      return store;
    });
  }

  async resolve(name: string, { version, sticky }: AdapterChoiceOptions = {}): Promise<ResolvedAdapter> {
    const shares = version === undefined ? own(this.#state.splits, name) : undefined;
    const share = shares && chosenShare(shares, sticky, this.#options.random ?? Math.random);
    const found = this.#find(share?.name ?? name, share?.version ?? version);
    if (!found) throw noSuchAdapter(name, version);
    return { key: found.key, name, version: found.version, digest: found.manifest.digest };
  }

  async list(): Promise<readonly StoredAdapter[]> {
    return this.#versions.all.map((each) => this.#told(each));
  }

  async load(key: string): Promise<Adapter> {
    for (;;) {
      const version = this.#versions.byKey(key);
      if (!version) throw noSuchAdapter(key);
      try {
        return await (this.#pinned.get(key) ?? this.#read(version));
      } catch (error) {
        // It may have been put aside while it was read.
        if (this.#versions.byKey(key)?.folder === version.folder) throw error;
      }
    }
  }

  /** By name, the parts that its requests are split into. */
  get splits(): Readonly<Record<string, readonly Share[]>> {
    return this.#state.splits;
  }

  /**
   * Takes an adapter. When it resolves, the adapter is there, whatever happens to the process or the machine. The same files again
   * are the same version.
   *
   * @throws OnnxLoraError `INPUT_INVALID` for a name that cannot be one, files that are too large or not those of an adapter, and
   *   another adapter for a version that is there; `ADAPTER_INVALID` for damaged files, another digest than the client says, and
   *   a wrong signature; `ADAPTER_MISMATCH` for another base; `FILE_INVALID` where disk or store are full; what `check` throws
   */
  async upload(upload: Upload): Promise<StoredAdapter> {
    const staged = this.#versions.stage();
    try {
      const facts = await receiveUpload(upload, staged, { ...this.#options, trusted: this.#trusted });
      return await this.#change(async () => {
        const { name, version = facts.digest.slice(0, 12), activate = true } = upload;
        const isKnown = this.#versions.find(name, version)?.manifest.digest === facts.digest;
        if (!isKnown) this.#requireRoom(Object.values(facts.sizes).reduce((sum, size) => sum + size, 0));
        const added = await this.#versions.add(name, version, staged, { ...facts, uploaded: new Date().toISOString() });
        this.#verified.add(added);
        if (activate) await this.#save({ current: { ...this.#state.current, [name]: version } });
        return this.#told(added);
      });
    } finally {
      await rm(staged, { recursive: true, force: true });
    }
  }

  /**
   * Has a name stand for a version.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND`
   */
  async activate(name: string, version: string): Promise<void> {
    await this.#change(async () => {
      this.#require(name, version);
      await this.#save({ current: { ...this.#state.current, [name]: version } });
    });
  }

  /**
   * Splits the requests for a name, or makes a name that stands for others; null ends it.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND` for a part that is not there
   */
  async split(name: string, shares: readonly Share[] | null): Promise<void> {
    requireName(name);
    await this.#change(async () => {
      for (const share of shares ?? []) this.#require(share.name ?? name, share.version);
      await this.#save({ splits: { ...without(this.#state.splits, name), ...(shares && { [name]: shares }) } });
    });
  }

  /**
   * Keeps a version in memory, and from being deleted, or does so no more.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND`
   */
  async pin(name: string, version: string | undefined, isPinned: boolean): Promise<void> {
    await this.#change(async () => {
      const { key } = this.#require(name, version);
      const others = this.#state.pinned.filter((each) => each !== key);
      await this.#save({ pinned: isPinned ? [...others, key] : others });
      this.#keepPinned();
    });
  }

  /**
   * Deletes a version, or all of a name. Requests that were resolved to it before still get it, for a while.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND`; `INPUT_INVALID` for what is pinned or a part of a split
   */
  async delete(name: string, version?: string): Promise<void> {
    await this.#change(async () => {
      const gone = version === undefined ? this.#versions.of(name) : [this.#require(name, version)];
      if (gone.length === 0) throw noSuchAdapter(name);
      requireUnused(gone, gone.length === this.#versions.of(name).length, this.#state);
      for (const each of gone) await this.#versions.remove(each);
      const current = own(this.#state.current, name);
      if (!gone.some(({ version }) => version === current)) return;
      // Where the disk is too full for that, the name stands for what is not there, and so for the newest.
      await this.#save({ current: without(this.#state.current, name) }).catch(() => undefined);
    });
  }

  /**
   * Reads the folder anew, where something else has changed it.
   *
   * @throws OnnxLoraError `FILE_INVALID` for a file of the store that is damaged
   */
  async reload(): Promise<void> {
    await this.#change(async () => {
      await this.#versions.read();
      this.#state = await readState(this.#root);
      this.#keepPinned();
    });
  }

  /** Gives the folder back, when changes that are under way have ended. */
  async close(): Promise<void> {
    await this.#change(() => this.#versions.clean());
    this.#lock.release();
  }

  /** As {@link AdapterStore.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #find(name: string, version: string | undefined): Version | undefined {
    const asked = version ?? own(this.#state.current, name);
    const found = asked === undefined ? undefined : this.#versions.find(name, asked);
    return version === undefined ? (found ?? this.#versions.of(name).at(-1)) : found;
  }

  #require(name: string, version: string | undefined): Version {
    const found = this.#find(name, version);
    if (!found) throw noSuchAdapter(name, version);
    return found;
  }

  #told(each: Version): StoredAdapter {
    const { key, name, version, bytes } = each;
    const { digest, uploaded, base } = each.manifest;
    const isCurrent = this.#find(name, undefined) === each;
    const isPinned = this.#state.pinned.includes(key);
    return { key, name, version, digest, bytes, isCurrent, isPinned, uploaded, ...(base !== undefined && { base }) };
  }

  async #read(version: Version): Promise<Adapter> {
    if (!this.#verified.has(version) && (await digestOf(version.folder)) !== version.manifest.digest) {
      throw new OnnxLoraError(
        'ADAPTER_INVALID',
        `The files in "${version.folder}" are not those that were uploaded. Delete the adapter, and upload it again.`,
      );
    }
    this.#verified.add(version);
    return loadBounded(version.folder, this.#options);
  }

  #requireRoom(bytes: number): void {
    const { maxBytes = Infinity } = this.#options;
    if (this.#versions.bytes + bytes <= maxBytes) return;
    throw new OnnxLoraError(
      'FILE_INVALID',
      `The store has no room for the adapter: all of them may take ${maxBytes} bytes. Delete some.`,
    );
  }

  #keepPinned(): void {
    for (const key of this.#pinned.keys()) if (!this.#state.pinned.includes(key)) this.#pinned.delete(key);
    for (const key of this.#state.pinned) {
      const version = this.#versions.byKey(key);
      if (!version || this.#pinned.has(key)) continue;
      const adapter = this.#read(version);
      this.#pinned.set(key, adapter);
      // Whoever asks for it tries again.
      adapter.catch(() => this.#pinned.delete(key));
    }
  }

  async #save(change: Partial<State>): Promise<void> {
    const state = { ...this.#state, ...change };
    await writeState(this.#root, state);
    this.#state = state;
  }

  #change<T>(make: () => Promise<T>): Promise<T> {
    const change = this.#changes.then(make);
    this.#changes = change.catch(() => undefined);
    return change;
  }
}

/** What an object has itself, and not by its prototype: names are a client's. */
function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function without<T>(record: Readonly<Record<string, T>>, name: string): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(record).filter(([each]) => each !== name));
}
