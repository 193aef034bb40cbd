/** @file Adapters that are far away, in an object store or on the hub: found by their names, and read through a cache on the disk. */

import { createHash } from 'node:crypto';
import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import { HttpError } from '../http/errors.ts';
import { type AdapterCatalog, type AdapterChoiceOptions, type AdapterInfo, infoOf, isAdapterName, noSuchAdapter, type ResolvedAdapter } from './catalog.ts'; // prettier-ignore
import type { DiskCache } from './diskCache.ts';
import { type FileLimits, type IncomingFile, loadBounded, receive } from './incoming.ts';
import { ADAPTER_FILES } from './manifest.ts';

/** A file of a place that is far away. */
export interface FarFile {
  /** Its path there, from the root of the place on. */
  readonly path: string;
  readonly size: number;
  /** What it holds, by a name that other contents never have: an ETag, a hash. */
  readonly tag: string;
}

/** Where adapters are that are far away. */
export interface FarPlace {
  /** How settings name it. */
  readonly url: string;
  /** What an adapter is called whose files lie at the root. */
  readonly name: string;
  /**
   * Files there, or under a folder there.
   *
   * @throws Error when the place cannot be asked
   */
  files(folder: string | undefined, signal: AbortSignal): AsyncIterable<FarFile>;
  /**
   * What a file holds.
   *
   * @throws FileChanged when it is another one by now; any other error when the place cannot be asked
   */
  read(file: FarFile, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** A file is not what it was when it was found. */
export class FileChanged extends Error {}

/** How places far away are asked. */
export interface FarOptions extends FileLimits {
  /** Milliseconds for which what was found of an adapter holds; 10,000 by default. */
  readonly refresh?: number;
  /** Milliseconds that a request waits to hear whether what is known still holds; 1000 by default. */
  readonly patience?: number;
  /** Milliseconds after which the place counts as away; 10,000 by default. */
  readonly timeout?: number;
  /** Milliseconds in which an adapter must have come; 120,000 by default. */
  readonly downloadTimeout?: number;
}

/** An adapter there. */
interface Found {
  readonly info: AdapterInfo;
  /** Unknown of what was found in the cache alone. */
  readonly files: Files | undefined;
}

type Files = Readonly<Record<(typeof ADAPTER_FILES)[number], FarFile>>;

/** What is known of a name. */
interface Known {
  /** Undefined where there is no such adapter. */
  readonly found: Found | undefined;
  readonly at: number;
}

/** Names, and what they stood for, that are remembered. */
const MOST_KNOWN = 10_000;

/**
 * Adapters of a place that is far away: folders of the two files, or of a training run; or one adapter at its root. A name is
 * looked up again after {@link FarOptions.refresh}. What has been read is in a cache on the disk, which answers alone while the
 * place is away.
 */
export class FarAdapters implements AdapterCatalog {
  readonly #place: FarPlace;
  readonly #cache: DiskCache;
  readonly #options: Required<Pick<FarOptions, 'refresh' | 'patience' | 'timeout' | 'downloadTimeout'>> & FileLimits;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<Known>>();
  readonly #byKey = new Map<string, Found>();

  constructor(place: FarPlace, cache: DiskCache, options: FarOptions = {}) {
    this.#place = place;
    this.#cache = cache;
    this.#options = { refresh: 10_000, patience: 1000, timeout: 10_000, downloadTimeout: 120_000, ...options };
  }

  async resolve(name: string, { version }: AdapterChoiceOptions = {}): Promise<ResolvedAdapter> {
    const found = isAdapterName(name) ? await this.#find(name) : undefined;
    if (!found || (version !== undefined && version !== found.info.version)) throw noSuchAdapter(name, version);
    // Who has it resolved may load it, however many others were found since.
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

  /** What a name stands for; undefined for nothing. */
  async #find(name: string): Promise<Found | undefined> {
    const { refresh, patience } = this.#options;
    const known = this.#known.get(name);
    if (known && performance.now() - known.at < refresh) return known.found;
    const asking = this.#asking.get(name) ?? this.#lookUp(name);
    if (!known?.found) return (await asking).found;
    // What is there is better than an answer that does not come.
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
        // Bounded, since names that are not there are the client's to choose.
        remember(this.#known, name, known);
        return known;
      })
      .finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    return asking;
  }

  /** What the place has, of one name or of all. */
  async #ask(name: string | undefined): Promise<Found[]> {
    const signal = AbortSignal.timeout(this.#options.timeout);
    const adapters = new Map<string, Map<string, FarFile>>();
    for await (const file of this.#place.files(name === this.#place.name ? undefined : name, signal)) {
      const [adapter, kind] = this.#roleOf(file.path) ?? [];
      if (adapter === undefined || (name !== undefined && adapter !== name)) continue;
      const files = adapters.get(adapter) ?? new Map<string, FarFile>();
      adapters.set(adapter, files);
      // The folder's own files go before those of a run in it.
      const other = files.get(kind!);
      if (!other || file.path.length < other.path.length) files.set(kind!, file);
    }
    const found = [...adapters].flatMap(([each, files]) =>
      ADAPTER_FILES.every((file) => files.has(file)) ? [this.#described(each, Object.fromEntries(files) as Files)] : [],
    );
    for (const each of found) remember(this.#byKey, each.info.key, each);
    return found;
  }

  /** Whose file it is, and which one; undefined for others. */
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

  /** Adapters in the cache, those last that were used last. */
  #cached(): Found[] {
    const { url } = this.#place;
    return this.#cache.entries
      .filter(({ source }) => source === url)
      .map(({ id, name, bytes }) => ({ info: infoOf(name, id, bytes), files: undefined }));
  }

  async #download({ info: { name, key }, files: known }: Found, folder: string): Promise<void> {
    const signal = AbortSignal.timeout(this.#options.downloadTimeout);
    try {
      // Of what was in the cache alone it is not known where it is from.
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

/** The content, which has as many bytes as was said. */
async function* exactly(content: AsyncIterable<Uint8Array>, { path, size }: FarFile): AsyncGenerator<Uint8Array> {
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
