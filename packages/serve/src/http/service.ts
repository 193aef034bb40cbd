/** @file The services behind all routes, and resolution of the adapter. */

import { type Model, OnnxLoraError } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { type AdapterCatalog, noSuchAdapter, type ResolvedAdapter } from '../adapters/catalog.ts';
import type { AdapterStore } from '../adapters/store.ts';
import type { Outputs, Work } from '../inference/compute.ts';
import type { BatchScheduler } from '../scheduler/scheduler.ts';
import type { Variants } from '../inference/variants.ts';
import type { Access, Caller } from '../operation/access.ts';
import type { Log } from '../operation/log.ts';
import type { Statistics } from '../operation/modelStatistics.ts';
import type { ServerMetrics } from '../operation/serverMetrics.ts';
import type { Tracing } from '../operation/tracing.ts';
import { inputInvalid } from './errors.ts';

export interface Service {
  /** Name of the base in URLs. */
  readonly name: string;
  readonly version: string;
  readonly base: Model;
  readonly catalog: AdapterCatalog;
  readonly store: AdapterStore | undefined;
  readonly variants: Variants;
  readonly scheduler: BatchScheduler<Work, Outputs>;
  readonly access: Access;
  readonly metrics: ServerMetrics;
  readonly statistics: Statistics;
  /** Maximum rows of a batch. */
  readonly maxRows: number;
  readonly log: Log;
  /** Present with OpenTelemetry. */
  readonly tracing: Tracing | undefined;
  /** Removes local paths from a message. */
  readonly hidePaths: (message: string) => string;
  /** Unloads an adapter. */
  readonly forget: (key: string) => void;
  readonly loadedKeys: () => ReadonlySet<string>;
  /** `maxMemoryBytes`, or null. */
  readonly memoryLimit: number | null;
  readonly sessionCount: () => number;
  /** False while loading and draining. */
  readonly isReady: () => boolean;
}

/** Selects an adapter by the URL and the request. */
export interface AdapterSelection {
  /** `base`, or `base:adapter`. */
  readonly model?: string | undefined;
  readonly version?: string | undefined;
  /** The adapter alone; empty or null for the base. */
  readonly adapter?: string | null | undefined;
  readonly sticky?: string | undefined;
}

/**
 * Resolves the adapter for the duration of a request; null for the base.
 * @throws OnnxLoraError `FILE_NOT_FOUND` for an unknown model or adapter, `INPUT_INVALID` for two adapters
 */
export async function withAdapter(
  { name, catalog }: Service,
  { model = name, version, adapter, sticky }: AdapterSelection,
  caller: Caller,
): Promise<ResolvedAdapter | null> {
  const [base, ...rest] = model.split(':');
  if (base !== name)
    throw new OnnxLoraError('FILE_NOT_FOUND', `There is no model "${base!}". This server has "${name}".`);
  const named = rest.length > 0 ? rest.join(':') : undefined;
  const asked = adapter === '' || adapter === null ? undefined : adapter;
  if (named !== undefined && asked !== undefined && named !== asked)
    throw inputInvalid(`The address names the adapter "${named}", and the request "${asked}". Name one.`);
  const wanted = named ?? asked;
  if (wanted !== undefined) {
    // Forbidden adapters appear unknown.
    if (!caller.mayUse(wanted)) throw noSuchAdapter(wanted, version);
    return catalog.resolve(wanted, withoutUndefined({ version, sticky }));
  }
  if (version !== undefined && version !== BASE_VERSION)
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `The base "${name}" has one version, "${BASE_VERSION}", and not "${version}".`,
    );
  return null;
}

export const BASE_VERSION = '1';
