/** @file Several places with adapters as one. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import type { AdapterCatalog } from './catalog.ts';
import { noSuchAdapter } from './names.ts';

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
