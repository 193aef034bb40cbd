/** @file `serve`: a model and its adapters behind HTTP, inside any Node program. */

import { createRequire } from 'node:module';
import path from 'node:path';
import { type Model, OnnxLoraError } from '@onnx-lora/sdk';
import type { PredictorOptions } from '@onnx-lora/sdk/plugin';
import type { AdapterCatalog } from './adapters/catalog.ts';
import { RunFolders } from './adapters/runFolders.ts';
import { type HttpLimits, httpApp } from './http/app.ts';
import { compute } from './inference/compute.ts';
import { remembering } from './inference/recentAdapters.ts';
import { Sessions, type SessionSettings } from './inference/sessions.ts';
import { Variants } from './inference/variants.ts';
import { Access, type KeySettings } from './operation/access.ts';
import { serverMetrics } from './operation/serverMetrics.ts';
import type { BatchLimits } from './scheduler/batch.ts';
import { systemClock } from './scheduler/clock.ts';
import { createScheduler, type QueueLimits } from './scheduler/scheduler.ts';
import type { Service } from './http/service.ts';

/** Options of {@link serve}. */
export interface ServeOptions extends SessionSettings, HttpLimits {
  /** A folder with a folder for each adapter, such as `runs`; or where else they come from. Without it the base serves alone. */
  readonly adapters?: string | AdapterCatalog;
  /** What the model is called in addresses; by default the last part of its own name. */
  readonly name?: string;
  /** 8080 by default; 0 takes a free one. */
  readonly port?: number;
  /** The address to listen on; 127.0.0.1 by default, which nobody else reaches. */
  readonly host?: string;
  /** Name of the task that `/predict` answers for; by default that of the adapter, of the base the usual one of its family. */
  readonly task?: string;
  /** Values of the task's settings. */
  readonly settings?: PredictorOptions['settings'];
  /** Who may ask; everybody by default. */
  readonly keys?: readonly KeySettings[];
  /** How large batches become, and how much may wait. */
  readonly scheduling?: BatchLimits & QueueLimits;
  /** Milliseconds that requests have to end in when the server is closed; 30,000 by default. */
  readonly drainTimeout?: number;
  /** Hears of failures that are no client's; they are written to stderr by default. */
  readonly onFailure?: (error: unknown) => void;
}

/** A server that runs. */
export interface Server extends AsyncDisposable {
  /** Where it listens: `http://127.0.0.1:8080`. */
  readonly url: string;
  /** What the model is called in addresses. */
  readonly model: string;
  /** Takes no more requests, answers those that it has, and frees the model. */
  close(): Promise<void>;
}

/**
 * Serves a model with any number of adapters.
 *
 * @example
 * const model = await openModel('models/vit', { plugins: [visionPlugin] });
 * await using server = await serve(model, { adapters: 'runs' });
 * console.log(server.url);
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a name that cannot be in an address, or an address that is taken; as `model.session`
 */
export async function serve(model: Model, options: ServeOptions = {}): Promise<Server> {
  const { adapters, name = nameOf(model), port = 8080, host = '127.0.0.1', task, settings, maxBodyBytes, requestTimeout, onFailure = console.error, keys = [], scheduling = {}, drainTimeout = 30_000, ...machine } = options; // prettier-ignore
  const metrics = serverMetrics();
  const access = new Access(keys, systemClock);
  const catalog = remembering(
    metrics.counted(typeof adapters === 'object' ? adapters : new RunFolders(adapters ?? '')),
  );
  const sessions = new Sessions(catalog, machine);
  const weightOf = (tenant: string): number => access.weightOf(tenant);
  const scheduler = createScheduler(compute, { ...scheduling, weightOf, observer: metrics.observer });
  metrics.watch(scheduler, sessions);
  const variants = new Variants({ base: model, catalog, sessions, scheduler, task, settings });
  let isReady = false;
  const service: Service = {
    name,
    version: VERSION,
    base: model,
    catalog,
    variants,
    scheduler,
    access,
    metrics,
    loadedKeys: () => sessions.adapterKeys,
    isReady: () => isReady,
  };
  const app = httpApp(service, { ...(maxBodyBytes !== undefined && { maxBodyBytes }), ...(requestTimeout !== undefined && { requestTimeout }) }, onFailure); // prettier-ignore
  await warmUp(variants);
  let url: string;
  try {
    url = await app.listen({ port, host });
  } catch (error) {
    await sessions.release();
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `${host}:${port} cannot be listened on: ${(error as Error).message}. Name another port.`,
      { cause: error },
    );
  }
  isReady = true;
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> =>
    (closing ??= (async () => {
      isReady = false;
      const late = AbortSignal.timeout(drainTimeout);
      late.addEventListener('abort', () => app.server.closeAllConnections());
      await Promise.all([app.close(), scheduler.drain(late)]);
      await sessions.release();
    })());
  return { url, model: name, close, [Symbol.asyncDispose]: close };
}

const VERSION = (createRequire(import.meta.url)('../package.json') as { version: string }).version;

/** Loads what the first request would wait for. A base that has no answers of its own may have adapters that do. */
async function warmUp(variants: Variants): Promise<void> {
  const base = await variants.get(null);
  try {
    await base.predictor();
  } catch (error) {
    if (!(error instanceof OnnxLoraError)) throw error;
    await base.session();
  }
}

/** @throws OnnxLoraError `CONFIG_INVALID` */
function nameOf({ name }: Model): string {
  return path.basename(name, '.onnx').replaceAll(/[^\w.-]/g, '-');
}
