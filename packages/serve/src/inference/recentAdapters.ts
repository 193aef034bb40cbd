/** @file A catalog that remembers what it has read last: what answers for an adapter asks for it several times when it is new. */

import type { Adapter } from '@onnx-lora/sdk';
import type { AdapterCatalog } from '../adapters/catalog.ts';

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
