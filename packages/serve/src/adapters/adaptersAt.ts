/** @file Resolves the setting `adapters`: a folder, an object store, or the hub. */

import { cacheFolder, withoutUndefined } from '@onnx-lora/sdk/data';
import type { AdapterCatalog } from './catalog.ts';
import { DiskCache } from './diskCache.ts';
import { RemoteAdapters, type RemotePlace } from './remoteAdapters.ts';
import { hubPlace } from './hubPlace.ts';
import { RunFolders, type RunRules } from './runFolders.ts';
import { s3Place } from './s3.ts';

/** The disk cache of remote adapters. */
export interface CacheSettings {
  /** The folder, used by one server at a time; `onnx-lora/adapters` in the user's cache by default. */
  readonly folder?: string | undefined;
  /** Maximum bytes; 10 GiB by default. */
  readonly maxBytes?: number | undefined;
  /** Milliseconds until a name is looked up again; 10,000 by default. */
  readonly refresh?: number | undefined;
}

export interface PlacedAdapters {
  readonly catalog: AdapterCatalog;
  close(): void;
}

/** Whether it is a URL rather than a folder. */
export function isAddress(adapters: string): boolean {
  return /^(?:s3|hf):\/\//.test(adapters);
}

/**
 * Opens the adapters of a folder, of `s3://BUCKET/PREFIX` or of `hf://ORG/NAME`.
 * @param limits `maxTensors` applies to all, bytes to remote adapters, `check` to those of a folder
 * @throws OnnxLoraError `CONFIG_INVALID` for an invalid URL; `FILE_INVALID` for a cache locked by another process
 */
export async function adaptersAt(
  adapters: string,
  { folder, maxBytes = 10 * 2 ** 30, refresh }: CacheSettings = {},
  limits: RunRules = {},
): Promise<PlacedAdapters> {
  if (!isAddress(adapters)) return { catalog: new RunFolders(adapters, limits), close: () => undefined };
  const place: RemotePlace & { close?(): void } = await (adapters.startsWith('s3:') ? s3Place : hubPlace)(adapters);
  const cache = await DiskCache.open(folder ?? cacheFolder('adapters'), maxBytes);
  return {
    catalog: new RemoteAdapters(place, cache, { ...limits, ...withoutUndefined({ refresh }) }),
    close: () => {
      place.close?.();
      cache.close();
    },
  };
}
