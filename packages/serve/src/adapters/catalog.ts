/** @file Catalogs of adapters: the contract, and combinations. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';

/** Selects a version of an adapter. */
export interface AdapterChoiceOptions {
  /** A version; the name's current one by default. */
  readonly version?: string;
  /** Requests with the same key get the same version of a split name. */
  readonly sticky?: string;
}

/** An adapter pinned to its version for the duration of a request. */
export interface ResolvedAdapter {
  /** `name@digest`: identifies it in sessions, so that a name with new weights never gets the old ones. */
  readonly key: string;
  /** The requested name. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** Hexadecimal sha256 of its files; of remote ones, of their content tags. */
  readonly digest: string;
}

/** An adapter in a list. */
export interface AdapterInfo extends ResolvedAdapter {
  /** Size of its files. */
  readonly bytes: number;
}

/** A stored version of an adapter. */
export interface StoredVersion extends Omit<AdapterInfo, 'key'> {
  /** Whether it is the name's current version. */
  readonly isCurrent: boolean;
  /** Whether it stays in memory and cannot be deleted. */
  readonly isPinned: boolean;
  /** Upload time in ISO 8601. */
  readonly uploaded: string;
}

/** A source of adapters by name. */
export interface AdapterCatalog {
  /** Finds an adapter. @throws OnnxLoraError `FILE_NOT_FOUND` */
  resolve(name: string, options?: AdapterChoiceOptions): Promise<ResolvedAdapter>;
  /** Lists all adapters with all versions. */
  list(): Promise<readonly AdapterInfo[]>;
  /** Loads an adapter by its key. @throws OnnxLoraError `FILE_NOT_FOUND` for a deleted one; as `loadAdapter` */
  load(key: string): Promise<Adapter>;
}

/** Combines catalogs; earlier ones win. */
export function combineCatalogs(catalogs: readonly AdapterCatalog[]): AdapterCatalog {
  const first = async <T>(ask: (catalog: AdapterCatalog) => Promise<T>, missing: () => OnnxLoraError): Promise<T> => {
    for (const catalog of catalogs) {
      try {
        return await ask(catalog);
      } catch (error) {
        if (!(error instanceof OnnxLoraError) || error.code !== 'FILE_NOT_FOUND') throw error;
      }
    }
    throw missing();
  };
  return {
    resolve: (name, options) => first((each) => each.resolve(name, options), () => noSuchAdapter(name, options?.version)), // prettier-ignore
    load: (key): Promise<Adapter> => first((each) => each.load(key), () => noSuchAdapter(key)), // prettier-ignore
    async list() {
      const lists = await Promise.all(catalogs.map((each) => each.list()));
      return lists.flatMap((list, i) => {
        const before = new Set(lists.slice(0, i).flatMap((each) => each.map(({ name }) => name)));
        return list.filter(({ name }) => !before.has(name));
      });
    },
  };
}

/** Describes an adapter whose version is the start of its digest. */
export function infoOf(name: string, digest: string, bytes: number): AdapterInfo {
  return { key: `${name}@${digest}`, name, version: digest.slice(0, 12), digest, bytes };
}

const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/;

/** Whether a name, which becomes a path part, is 1 to 128 of `A-Z a-z 0-9 . _ -`, but not `.` and `..`. */
export function isAdapterName(name: string): boolean {
  return NAME.test(name);
}

/** The error for an unknown adapter. */
export function noSuchAdapter(name: string, version?: string): OnnxLoraError {
  const what = version === undefined ? `"${name}"` : `"${name}" of version "${version}"`;
  return new OnnxLoraError('FILE_NOT_FOUND', `There is no adapter ${what}. GET /adapters lists those that there are.`);
}

const MOST_KEPT = 4;

/** A catalog with a cache. */
export interface CachedCatalog extends AdapterCatalog {
  forget(key: string): void;
}

/** Caches the last few adapters: a new one is loaded several times in a row. */
export function cachedCatalog(catalog: AdapterCatalog): CachedCatalog {
  const recent = new Map<string, Promise<Adapter>>();
  return {
    resolve: (name, options) => catalog.resolve(name, options),
    list: () => catalog.list(),
    forget: (key) => void recent.delete(key),
    load(key) {
      const loading = recent.get(key) ?? catalog.load(key);
      recent.delete(key);
      recent.set(key, loading);
      // Failures are not cached.
      loading.catch(() => recent.delete(key));
      if (recent.size > MOST_KEPT) recent.delete(recent.keys().next().value!);
      return loading;
    },
  };
}
