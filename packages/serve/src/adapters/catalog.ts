/** @file What the server asks of the place where its adapters are. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';

/** Which of the adapters of a name is meant. */
export interface AdapterChoiceOptions {
  /** One version; by default the one that the name stands for now. */
  readonly version?: string;
  /** Requests with the same key get the same version of a name whose requests are split between several. */
  readonly sticky?: string;
}

/** One adapter, from when it was asked for to the end of the request, whatever happens to its name meanwhile. */
export interface ResolvedAdapter {
  /** `name@digest`: by it sessions hold the adapter, so that a name that is given to other weights never gets the old ones. */
  readonly key: string;
  /** As it was asked for. */
  readonly name: string;
  /** Which of those of its name. */
  readonly version: string;
  /** sha256 of its files, in hexadecimal; where they are far away, of what names their contents there. */
  readonly digest: string;
}

/** What is told of an adapter. */
export interface AdapterInfo extends ResolvedAdapter {
  /** Bytes of its files. */
  readonly bytes: number;
}

/** A version of an adapter that the server keeps. */
export interface StoredVersion extends Omit<AdapterInfo, 'key'> {
  /** Whether the name stands for it. */
  readonly isCurrent: boolean;
  /** Whether it is kept in memory, and cannot be deleted. */
  readonly isPinned: boolean;
  /** Upload time in ISO 8601. */
  readonly uploaded: string;
}

/** Adapters by name. */
export interface AdapterCatalog {
  /** @throws OnnxLoraError `FILE_NOT_FOUND` where there is none of that name or version */
  resolve(name: string, options?: AdapterChoiceOptions): Promise<ResolvedAdapter>;
  /** All of them, with all versions. */
  list(): Promise<readonly AdapterInfo[]>;
  /**
   * Reads an adapter that has been resolved.
   *
   * @param key {@link ResolvedAdapter.key}
   * @throws OnnxLoraError `FILE_NOT_FOUND` where it has been deleted; as `loadAdapter`
   */
  load(key: string): Promise<Adapter>;
}

/** Adapters of all of these; of two with one name that of the first place. */
export function together(catalogs: readonly AdapterCatalog[]): AdapterCatalog {
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

/** An adapter whose version is the beginning of its digest. */
export function infoOf(name: string, digest: string, bytes: number): AdapterInfo {
  return { key: `${name}@${digest}`, name, version: digest.slice(0, 12), digest, bytes };
}

const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/;

/** Whether an adapter may have this name: 1 to 128 letters, digits, `.`, `_` and `-`, but not `.` and `..`. */
export function isAdapterName(name: string): boolean {
  return NAME.test(name);
}

/** The error for an adapter that is not there. */
export function noSuchAdapter(name: string, version?: string): OnnxLoraError {
  const what = version === undefined ? `"${name}"` : `"${name}" of version "${version}"`;
  return new OnnxLoraError('FILE_NOT_FOUND', `There is no adapter ${what}. GET /adapters lists those that there are.`);
}

const MOST_KEPT = 4;

/** A catalog that can forget. */
export interface RememberingCatalog extends AdapterCatalog {
  /** Reads it anew when it is asked for again. */
  forget(key: string): void;
}

/** The catalog, which reads none of the last few adapters again. */
export function remembering(catalog: AdapterCatalog): RememberingCatalog {
  const recent = new Map<string, Promise<Adapter>>();
  return {
    resolve: (name, options) => catalog.resolve(name, options),
    list: () => catalog.list(),
    forget: (key) => void recent.delete(key),
    load(key) {
      const loading = recent.get(key) ?? catalog.load(key);
      recent.delete(key);
      recent.set(key, loading);
      // One that could not be read is tried again.
      loading.catch(() => recent.delete(key));
      if (recent.size > MOST_KEPT) recent.delete(recent.keys().next().value!);
      return loading;
    },
  };
}
