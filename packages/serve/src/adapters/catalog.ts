/** @file What the server asks of the place where its adapters are. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import { noSuchAdapter } from './names.ts';

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
