/** @file The store of uploaded adapters: by name and version, durable on disk. */

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
  /** Maximum bytes of all adapters; unlimited by default. */
  readonly maxBytes?: number;
  /** Milliseconds that a deleted version stays available to running requests; 60,000 by default. */
  readonly grace?: number;
  /** Random number from 0 to 1, for splits; `Math.random` by default. */
  readonly random?: () => number;
}

/** An adapter in the store. */
export interface StoredAdapter extends AdapterInfo, StoredVersion {
  /** sha256 of the base's weights, if known. */
  readonly base?: string;
}

/**
 * Adapters in a folder, `NAME/VERSION/adapter_config.json` and `adapter_model.safetensors`. A version appears
 * atomically and is flushed before {@link AdapterStore.upload} resolves; then it becomes current. Versions are
 * immutable. One process uses the folder at a time.
 */
export class AdapterStore implements AdapterCatalog, AsyncDisposable {
  readonly #root: string;
  readonly #options: StoreOptions;
  readonly #trusted: readonly KeyObject[];
  readonly #lock: FileLock;
  readonly #versions: Versions;
  #state: State = { current: {}, splits: {}, pinned: [] };
  readonly #pinned = new Map<string, Promise<Adapter>>();
  readonly #verified = new WeakSet<Version>();
  /** Serializes changes. */
  #changes: Promise<unknown> = Promise.resolve();

  private constructor(root: string, options: StoreOptions, lock: FileLock) {
    this.#root = root;
    this.#options = options;
    this.#trusted = (options.keys ?? []).map(publicKey);
    this.#lock = lock;
    this.#versions = new Versions(root, options.grace ?? 60_000);
  }

  /**
   * Opens or creates a store; removes partial uploads.
   * @throws OnnxLoraError `FILE_INVALID` for a store that is locked or damaged; `CONFIG_INVALID` for an invalid key
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
        // It may have been moved meanwhile.
        if (this.#versions.byKey(key)?.folder === version.folder) throw error;
      }
    }
  }

  /** Splits by name. */
  get splits(): Readonly<Record<string, readonly Share[]>> {
    return this.#state.splits;
  }

  /**
   * Stores an adapter, durably once this resolves. The same files again are the same version.
   * @throws OnnxLoraError `INPUT_INVALID` for an invalid name, invalid files, and an existing version with other files;
   *   `ADAPTER_INVALID` for damaged files, a wrong digest or signature; `ADAPTER_MISMATCH` for another base;
   *   `FILE_INVALID` for a full disk or store; as `check`
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

  /** Makes a version current. @throws OnnxLoraError `FILE_NOT_FOUND` */
  async activate(name: string, version: string): Promise<void> {
    await this.#change(async () => {
      this.#require(name, version);
      await this.#save({ current: { ...this.#state.current, [name]: version } });
    });
  }

  /** Splits a name's requests, or defines an alias; null ends it. @throws OnnxLoraError `FILE_NOT_FOUND` */
  async split(name: string, shares: readonly Share[] | null): Promise<void> {
    requireName(name);
    await this.#change(async () => {
      for (const share of shares ?? []) this.#require(share.name ?? name, share.version);
      await this.#save({ splits: { ...without(this.#state.splits, name), ...(shares && { [name]: shares }) } });
    });
  }

  /** Pins a version in memory and against deletion, or unpins it. @throws OnnxLoraError `FILE_NOT_FOUND` */
  async pin(name: string, version: string | undefined, isPinned: boolean): Promise<void> {
    await this.#change(async () => {
      const { key } = this.#require(name, version);
      const others = this.#state.pinned.filter((each) => each !== key);
      await this.#save({ pinned: isPinned ? [...others, key] : others });
      this.#keepPinned();
    });
  }

  /**
   * Deletes a version, or all of a name. Running requests still get it for a while.
   * @throws OnnxLoraError `FILE_NOT_FOUND`; `INPUT_INVALID` for a pinned or split version
   */
  async delete(name: string, version?: string): Promise<void> {
    await this.#change(async () => {
      const gone = version === undefined ? this.#versions.of(name) : [this.#require(name, version)];
      if (gone.length === 0) throw noSuchAdapter(name);
      requireUnused(gone, gone.length === this.#versions.of(name).length, this.#state);
      for (const each of gone) await this.#versions.remove(each);
      const current = own(this.#state.current, name);
      if (!gone.some(({ version }) => version === current)) return;
      // If the disk is full, the missing current version means the newest one.
      await this.#save({ current: without(this.#state.current, name) }).catch(() => undefined);
    });
  }

  /** Rereads the folder after external changes. @throws OnnxLoraError `FILE_INVALID` for a damaged file */
  async reload(): Promise<void> {
    await this.#change(async () => {
      await this.#versions.read();
      this.#state = await readState(this.#root);
      this.#keepPinned();
    });
  }

  /** Unlocks the folder after pending changes. */
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
      // The next request tries again.
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

/** Own properties only: clients choose names. */
function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function without<T>(record: Readonly<Record<string, T>>, name: string): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(record).filter(([each]) => each !== name));
}
