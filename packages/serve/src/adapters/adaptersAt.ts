/** @file From what `adapters` of the settings names to the adapters there: a folder, an object store, or the hub. */

import { homedir } from 'node:os';
import path from 'node:path';
import { defined } from '@onnx-lora/sdk/data';
import type { AdapterCatalog } from './catalog.ts';
import { DiskCache } from './diskCache.ts';
import { FarAdapters, type FarPlace } from './farAdapters.ts';
import { hubPlace } from './hubPlace.ts';
import { RunFolders, type RunRules } from './runFolders.ts';
import { s3Place } from './s3.ts';

/** Where adapters from far away are kept on this machine. */
export interface CacheSettings {
  /** The folder, which one server has at a time; `~/.cache/onnx-lora/adapters` by default. */
  readonly folder?: string | undefined;
  /** Bytes that they may take; 10 GiB by default. */
  readonly maxBytes?: number | undefined;
  /** Milliseconds after which a name is looked up again; 10,000 by default. */
  readonly refresh?: number | undefined;
}

/** Adapters of one place, to be closed when nobody asks for them any more. */
export interface PlacedAdapters {
  readonly catalog: AdapterCatalog;
  close(): void;
}

/** Whether it is the address of a place, and not a folder. */
export function isAddress(adapters: string): boolean {
  return /^(?:s3|hf):\/\//.test(adapters);
}

/**
 * The adapters of a folder, of `s3://BUCKET/PREFIX` or of `hf://ORG/NAME`.
 *
 * @param limits of which `maxTensors` holds for all, bytes for adapters from far away, and `check` for those of a folder
 * @throws OnnxLoraError `CONFIG_INVALID` for an address that is none; `FILE_INVALID` for a cache that another process has
 */
export async function adaptersAt(
  adapters: string,
  { folder, maxBytes = 10 * 2 ** 30, refresh }: CacheSettings = {},
  limits: RunRules = {},
): Promise<PlacedAdapters> {
  if (!isAddress(adapters)) return { catalog: new RunFolders(adapters, limits), close: () => undefined };
  const place: FarPlace & { close?(): void } = await (adapters.startsWith('s3:') ? s3Place : hubPlace)(adapters);
  const caches = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache');
  const cache = await DiskCache.open(folder ?? path.join(caches, 'onnx-lora', 'adapters'), maxBytes);
  return {
    catalog: new FarAdapters(place, cache, { ...limits, ...defined({ refresh }) }),
    close: () => {
      place.close?.();
      cache.close();
    },
  };
}
