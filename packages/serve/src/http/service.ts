/** @file What all routes stand on: the model, its adapters, and who answers for them. */

import { type Model, OnnxLoraError } from '@onnx-lora/sdk';
import { defined } from '@onnx-lora/sdk/data';
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

/** The parts of a running server. */
export interface Service {
  /** What the base is called in addresses. */
  readonly name: string;
  /** Of the package. */
  readonly version: string;
  readonly base: Model;
  readonly catalog: AdapterCatalog;
  /** Where adapters of clients are kept, if they are. */
  readonly store: AdapterStore | undefined;
  readonly variants: Variants;
  readonly scheduler: BatchScheduler<Work, Outputs>;
  readonly access: Access;
  readonly metrics: ServerMetrics;
  readonly statistics: Statistics;
  /** Rows of a batch. */
  readonly maxRows: number;
  readonly log: Log;
  /** Where the program has set up OpenTelemetry. */
  readonly tracing: Tracing | undefined;
  /** Takes the places of this machine out of a message for clients. */
  readonly hidePaths: (message: string) => string;
  /** Keeps nothing of an adapter in memory. */
  readonly forget: (key: string) => void;
  /** Keys of the adapters that are in memory. */
  readonly loadedKeys: () => ReadonlySet<string>;
  /** Bytes that the process is to stay below; null where nothing says. */
  readonly memoryLimit: number | null;
  /** Graphs that are loaded. */
  readonly sessionCount: () => number;
  /** Whether it takes requests: not before it is loaded, and not while it drains. */
  readonly isReady: () => boolean;
}

/** Which adapter is meant, by an address and by what a request says besides. */
export interface Wanted {
  /** `base`, or `base:adapter`. */
  readonly model?: string | undefined;
  readonly version?: string | undefined;
  /** The adapter alone; empty or null is the base. */
  readonly adapter?: string | null | undefined;
  /** Requests with the same key get the same version of a split name. */
  readonly sticky?: string | undefined;
}

/**
 * The adapter that answers, as it is from now to the end of the request; null for the base.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` for a model or adapter that there is not, `INPUT_INVALID` for two adapters
 */
export async function resolved(
  { name, catalog }: Service,
  { model = name, version, adapter, sticky }: Wanted,
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
    // What somebody may not use is not there for them.
    if (!caller.mayUse(wanted)) throw noSuchAdapter(wanted, version);
    return catalog.resolve(wanted, defined({ version, sticky }));
  }
  if (version !== undefined && version !== BASE_VERSION)
    throw new OnnxLoraError(
      'FILE_NOT_FOUND',
      `The base "${name}" has one version, "${BASE_VERSION}", and not "${version}".`,
    );
  return null;
}

/** The one version of the base. */
export const BASE_VERSION = '1';
