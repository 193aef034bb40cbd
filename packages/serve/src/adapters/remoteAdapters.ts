/** @file Remote adapters, in an object store or on the hub, read through the disk cache. */

import { createHash } from 'node:crypto';
import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import { HttpError } from '../http/errors.ts';
import { type AdapterCatalog, type AdapterChoiceOptions, type AdapterInfo, infoOf, isAdapterName, noSuchAdapter, type ResolvedAdapter } from './catalog.ts'; // prettier-ignore
import type { DiskCache } from './diskCache.ts';
import { type FileLimits, type IncomingFile, loadBounded, receive } from './incoming.ts';
import { ADAPTER_FILES } from './manifest.ts';

export interface RemoteFile {
  /** Path from the place's root. */
  readonly path: string;
  readonly size: number;
  /** Identifies its content: an ETag or a hash. */
  readonly tag: string;
}

export interface RemotePlace {
  readonly url: string;
  /** Name of an adapter at its root. */
  readonly name: string;
  /** Lists files, optionally under a folder. @throws Error when the place is unreachable */
  files(folder: string | undefined, signal: AbortSignal): AsyncIterable<RemoteFile>;
  /** Reads a file. @throws FileChanged when it has changed; another error when the place is unreachable */
  read(file: RemoteFile, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** A file has changed since it was listed. */
export class FileChanged extends Error {}

export interface RemoteOptions extends FileLimits {
  /** Milliseconds that a lookup stays valid; 10,000 by default. */
  readonly refresh?: number;
  /** Milliseconds that a request waits for a lookup before it uses the known version; 1000 by default. */
  readonly patience?: number;
  /** Timeout of a lookup in milliseconds; 10,000 by default. */
  readonly timeout?: number;
  /** Timeout of a download in milliseconds; 120,000 by default. */
  readonly downloadTimeout?: number;
}

interface Found {
  readonly info: AdapterInfo;
  /** Unknown for one found only in the cache. */
  readonly files: Files | undefined;
}

type Files = Readonly<Record<(typeof ADAPTER_FILES)[number], RemoteFile>>;

interface Known {
  readonly found: Found | undefined;
  readonly at: number;
}

/** Maximum number of cached lookups. */
const MOST_KNOWN = 10_000;

/**
 * Adapters of a remote place: folders with PEFT's two files or of a run, or one adapter at its root. Lookups expire
 * after {@link RemoteOptions.refresh}; the disk cache answers while the place is unreachable.
 */
export class RemoteAdapters implements AdapterCatalog {
  readonly #place: RemotePlace;
  readonly #cache: DiskCache;
  readonly #options: Required<Pick<RemoteOptions, 'refresh' | 'patience' | 'timeout' | 'downloadTimeout'>> & FileLimits;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<Known>>();
  readonly #byKey = new Map<string, Found>();

  constructor(place: RemotePlace, cache: DiskCache, options: RemoteOptions = {}) {
    this.#place = place;
    this.#cache = cache;
    this.#options = { refresh: 10_000, patience: 1000, timeout: 10_000, downloadTimeout: 120_000, ...options };
  }

  async resolve(name: string, { version }: AdapterChoiceOptions = {}): Promise<ResolvedAdapter> {
    const found = isAdapterName(name) ? await this.#find(name) : undefined;
    if (!found || (version !== undefined && version !== found.info.version)) throw noSuchAdapter(name, version);
    // A resolved adapter stays loadable.
    remember(this.#byKey, found.info.key, found);
    return found.info;
  }

  async list(): Promise<readonly AdapterInfo[]> {
    let found: readonly Found[];
    try {
      found = await this.#ask(undefined);
    } catch {
      found = this.#cached();
    }
    return found.map(({ info }) => info).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async load(key: string): Promise<Adapter> {
    const name = key.slice(0, key.lastIndexOf('@'));
    const id = key.slice(name.length + 1);
    const found = this.#byKey.get(key) ?? this.#cached().find(({ info }) => info.key === key);
    if (!found) throw noSuchAdapter(key);
    const entry = { source: this.#place.url, name, bytes: found.info.bytes };
    return this.#cache.use(id, entry, (folder) => this.#download(found, folder), (folder) => loadBounded(folder, this.#options)); // prettier-ignore
  }

  async #find(name: string): Promise<Found | undefined> {
    const { refresh, patience } = this.#options;
    const known = this.#known.get(name);
    if (known && performance.now() - known.at < refresh) return known.found;
    const asking = this.#asking.get(name) ?? this.#lookUp(name);
    if (!known?.found) return (await asking).found;
    // A known version is better than no answer.
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Known>((resolve) => (timer = setTimeout(() => resolve(known), patience)));
    try {
      return (await Promise.race([asking, late])).found;
    } finally {
      clearTimeout(timer);
      asking.catch(() => undefined);
    }
  }

  #lookUp(name: string): Promise<Known> {
    const before = this.#known.get(name);
    const asking = this.#ask(name)
      .then(
        ([found]) => found,
        (cause: unknown) => {
          const found = before?.found ?? this.#cached().findLast(({ info }) => info.name === name);
          if (found) return found;
          throw new HttpError(503, 'ADAPTERS_AWAY', `The adapters at ${this.#place.url} cannot be asked for now, and "${name}" was not read before: ${(cause as Error).message}`, 5); // prettier-ignore
        },
      )
      .then((found) => {
        const known = { found, at: performance.now() };
        // Bounded, since clients may ask for any name.
        remember(this.#known, name, known);
        return known;
      })
      .finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    return asking;
  }

  /** Lists the place's adapters, of one name or all. */
  async #ask(name: string | undefined): Promise<Found[]> {
    const signal = AbortSignal.timeout(this.#options.timeout);
    const adapters = new Map<string, Map<string, RemoteFile>>();
    for await (const file of this.#place.files(name === this.#place.name ? undefined : name, signal)) {
      const [adapter, kind] = this.#roleOf(file.path) ?? [];
      if (adapter === undefined || (name !== undefined && adapter !== name)) continue;
      const files = adapters.get(adapter) ?? new Map<string, RemoteFile>();
      adapters.set(adapter, files);
      // Files of the folder win over those of a run in it.
      const other = files.get(kind!);
      if (!other || file.path.length < other.path.length) files.set(kind!, file);
    }
    const found = [...adapters].flatMap(([each, files]) =>
      ADAPTER_FILES.every((file) => files.has(file)) ? [this.#described(each, Object.fromEntries(files) as Files)] : [],
    );
    for (const each of found) remember(this.#byKey, each.info.key, each);
    return found;
  }

  /** The adapter and kind of a file; undefined for others. */
  #roleOf(path: string): readonly [adapter: string, file: string] | undefined {
    const parts = path.split('/');
    const file = parts.pop()!;
    if (parts[1] === 'adapter' || (parts.length === 1 && parts[0] === 'adapter')) parts.pop();
    const [adapter = this.#place.name, ...more] = parts;
    return more.length === 0 && isAdapterName(adapter) && (ADAPTER_FILES as readonly string[]).includes(file) ? [adapter, file] : undefined; // prettier-ignore
  }

  #described(name: string, files: Files): Found {
    const all = ADAPTER_FILES.map((file) => files[file]);
    const what = [this.#place.url, name, ...all.map(({ path, size, tag }) => [path, size, tag])];
    const digest = createHash('sha256').update(JSON.stringify(what)).digest('hex');
    return { info: infoOf(name, digest, all.reduce((sum, { size }) => sum + size, 0)), files }; // prettier-ignore
  }

  /** Cached adapters of this place, most recently used last. */
  #cached(): Found[] {
    const { url } = this.#place;
    return this.#cache.entries
      .filter(({ source }) => source === url)
      .map(({ id, name, bytes }) => ({ info: infoOf(name, id, bytes), files: undefined }));
  }

  async #download({ info: { name, key }, files: known }: Found, folder: string): Promise<void> {
    const signal = AbortSignal.timeout(this.#options.downloadTimeout);
    try {
      // One found only in the cache has no file paths.
      const files = known ?? (await this.#ask(name)).find(({ info }) => info.key === key)?.files;
      if (!files) throw new FileChanged(name);
      const incoming = ADAPTER_FILES.map((file): IncomingFile => {
        const { [file]: far } = files;
        return { name: file, size: far.size, content: exactly(this.#place.read(far, signal), far) };
      });
      await receive(folder, incoming, this.#options);
    } catch (error) {
      if (error instanceof OnnxLoraError) throw error;
      if (error instanceof FileChanged) {
        this.#known.delete(name);
        throw new OnnxLoraError('FILE_NOT_FOUND', `The adapter "${name}" was exchanged while it was read. Ask again.`);
      }
      throw new HttpError(503, 'ADAPTERS_AWAY', `The adapter "${name}" could not be read from ${this.#place.url}: ${(error as Error).message}`, 5); // prettier-ignore
    }
  }
}

/** Requires the announced number of bytes. */
async function* exactly(content: AsyncIterable<Uint8Array>, { path, size }: RemoteFile): AsyncGenerator<Uint8Array> {
  let left = size;
  for await (const piece of content) {
    if (piece.length > left) throw new FileChanged(path);
    left -= piece.length;
    yield piece;
  }
  if (left > 0) throw new FileChanged(path);
}

function remember<T>(known: Map<string, T>, key: string, value: T): void {
  known.delete(key);
  known.set(key, value);
  if (known.size > MOST_KNOWN) known.delete(known.keys().next().value!);
}
