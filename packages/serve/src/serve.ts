/** @file `serve`: a model and its adapters behind HTTP and gRPC, inside any Node program. */

import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import type { Server as TlsServer } from 'node:tls';
import { type Adapter, type Model, modelFor, OnnxLoraError } from '@onnx-lora/sdk';
import { defined } from '@onnx-lora/sdk/data';
import { adaptersAt, isAddress } from './adapters/adaptersAt.ts';
import { type AdapterCatalog, together } from './adapters/catalog.ts';
import { AdapterStore } from './adapters/store.ts';
import type { BodyBudget } from './http/bodies.ts';
import { MAX_BODIES_BYTES } from './http/limits.ts';
import type { Service } from './http/service.ts';
import { compute } from './inference/compute.ts';
import { remembering } from './inference/recentAdapters.ts';
import { Sessions } from './inference/sessions.ts';
import { Variants } from './inference/variants.ts';
import { Access } from './operation/access.ts';
import { hidingPaths } from './operation/hiddenPaths.ts';
import { type LogEntry, logTo, toStderr } from './operation/log.ts';
import { MemoryCeiling } from './operation/memoryCeiling.ts';
import { Statistics } from './operation/modelStatistics.ts';
import { serverMetrics } from './operation/serverMetrics.ts';
import { openTracing } from './operation/tracing.ts';
import { type ServeSettings, serveSettings } from './operation/settings.ts';
import { certificate } from './operation/tls.ts';
import { MOST_ROWS } from './scheduler/batch.ts';
import { systemClock } from './scheduler/clock.ts';
import { createScheduler } from './scheduler/scheduler.ts';

/** Options of {@link serve}. */
export interface ServeOptions extends ServeSettings {
  /** Where adapters come from besides. */
  readonly catalog?: AdapterCatalog;
  /** Takes what `log` says is written down; lines of JSON on stderr by default. */
  readonly onLog?: (entry: LogEntry) => void;
}

/** A server that runs. */
export interface Server extends AsyncDisposable {
  /** Where it listens: `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Where it answers to gRPC, if it does, as clients name it: `127.0.0.1:8081`. */
  readonly grpcUrl?: string;
  /** What the model is called in addresses. */
  readonly model: string;
  /**
   * Has other keys and another certificate from now on; requests that have come go on. Other settings are those that it was
   * started with.
   *
   * @throws OnnxLoraError `CONFIG_INVALID`, `FILE_NOT_FOUND`; then nothing has changed
   */
  reload(settings: Pick<ServeSettings, 'keys' | 'tls'>): Promise<void>;
  /** Takes no more requests, answers those that it has, and frees the model. */
  close(): Promise<void>;
}

const VERSION = (createRequire(import.meta.url)('@onnx-lora/serve/package.json') as { version: string }).version;

/**
 * Serves a model with any number of adapters.
 *
 * @example
 * const model = await openModel('models/vit', { plugins: [visionPlugin] });
 * await using server = await serve(model, { adapters: 'runs' });
 * console.log(server.url);
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a setting that cannot be, or an address that is taken; `FILE_INVALID` for a store that
 *   another process has; as `model.session`
 */
export async function serve(model: Model, { catalog, onLog = toStderr, ...given }: ServeOptions = {}): Promise<Server> {
  const { name = nameOf(model), port = 8080, host = '127.0.0.1', grpc, adapters, cache, store: storeSettings, tls, task, settings, keys = [], batches, queue, drainTimeout = 30_000, maxBodyBytes, maxUploadBytes, maxBodiesBytes = MAX_BODIES_BYTES, requestTimeout, log = 'failures', maxMemoryBytes, ...machine } = serveSettings(given, 'serve'); // prettier-ignore
  const metrics = serverMetrics();
  const access = new Access(keys, systemClock);
  const store = storeSettings && (await openStore(storeSettings, model, given));
  const fileLimits = {
    maxTensors: () => mostTensors(model),
    check: checkOf(model, given),
    ...defined({ maxWeightBytes: maxUploadBytes }),
  };
  const placed = adapters === undefined ? undefined : await adaptersAt(adapters, cache, fileLimits);
  const places = [store, catalog, placed?.catalog];
  const all = metrics.counted(together(places.filter((each) => each !== undefined)));
  const ceiling = maxMemoryBytes === undefined ? undefined : new MemoryCeiling(maxMemoryBytes);
  const known = remembering(ceiling?.bounded(all) ?? all);
  const sessions = new Sessions(known, machine, ceiling && ((most) => ceiling.adapterBytes(most)));
  ceiling?.whenTight((part) => sessions.shrink(part));
  const weightOf = (tenant: string): number => access.weightOf(tenant);
  const statistics = new Statistics();
  const scheduler = createScheduler(statistics.counted(ceiling?.watched(compute) ?? compute), {
    ...batches,
    ...queue,
    concurrency: machine.replicas ?? 1,
    weightOf,
    observer: metrics.observer,
    ...(ceiling && {
      batchLimits: () => ceiling.batchLimits(batches ?? {}),
      refuses: (job, isIdle) => ceiling.refuses(job, isIdle),
    }),
  });
  metrics.watch(scheduler, sessions);
  const variants = new Variants({ base: model, catalog: known, sessions, scheduler, task, settings });
  let isReady = false;
  const service: Service = {
    name,
    version: VERSION,
    base: model,
    catalog: known,
    store,
    variants,
    scheduler,
    access,
    metrics,
    statistics,
    maxRows: batches?.maxRows ?? MOST_ROWS,
    log: logTo(onLog, log),
    tracing: await openTracing(VERSION),
    loadedKeys: () => sessions.adapterKeys,
    sessionCount: () => sessions.count,
    memoryLimit: maxMemoryBytes ?? null,
    hidePaths: hidingPaths([
      [model.name, name],
      [model.folder, name],
      [adapters === undefined || isAddress(adapters) ? undefined : adapters, 'adapters'],
      [storeSettings?.folder, 'store'],
      [cache?.folder, 'cache'],
      [tmpdir(), 'tmp'],
      [homedir(), '~'],
    ]),
    forget: (key) => {
      for (const each of [known, variants, sessions]) each.forget(key);
    },
    isReady: () => isReady,
  };
  const bodies: BodyBudget = {
    held: 0,
    get most() {
      return ceiling?.bodyBytes(maxBodiesBytes) ?? maxBodiesBytes;
    },
  };
  const limits = defined({ maxBodyBytes, maxUploadBytes, requestTimeout });
  const pair = tls && (await certificate(tls));
  // A worker loads the model, and this thread meanwhile what answers; who does without gRPC does not wait for it.
  const warm = warmUp(variants);
  warm.catch(() => undefined);
  const { httpApp } = await import('./http/app.ts');
  const app = httpApp(service, pair, bodies, limits);
  const calls = grpc && new (await import('./grpc/app.ts')).GrpcApp(service, pair, bodies, limits);
  const release = async (): Promise<void> => {
    await sessions.release();
    await store?.close();
    placed?.close();
  };
  const close = async (): Promise<void> => {
    isReady = false;
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort();
      app.server.closeAllConnections();
      calls?.closeNow();
    }, drainTimeout);
    // A connection may have become idle just after those were closed that were.
    const sweep = setInterval(() => app.server.closeIdleConnections(), 100);
    // What computes in steps, such as a chat, has all of them taken until it has its answer.
    await Promise.all([app.close(), calls?.close()]);
    await scheduler.drain(late.signal);
    clearTimeout(timer);
    clearInterval(sweep);
    await release();
  };
  try {
    await warm;
    ceiling?.requireRoom();
    const url = await app.listen({ port, host }).catch((cause: unknown) => {
      throw cannotListen(`${host}:${port}`, cause);
    });
    const at = grpc && { host, ...defined(grpc) };
    const grpcUrl = at && (await calls!.listen(at.host, at.port).catch((cause: unknown) => {
      throw cannotListen(`${at.host}:${at.port}`, cause);
    })); // prettier-ignore
    isReady = true;
    let closing: Promise<void> | undefined;
    const closed = (): Promise<void> => (closing ??= close());
    const reload = async (changed: Pick<ServeSettings, 'keys' | 'tls'>): Promise<void> => {
      const { keys: others = [], tls: other } = serveSettings(changed, 'serve');
      const renewed = tls && other && (await certificate(other));
      if (renewed) {
        (app.server as unknown as TlsServer).setSecureContext(renewed);
        calls?.renew(renewed);
      }
      access.replace(others);
    };
    return { url, ...defined({ grpcUrl }), model: name, reload, close: closed, [Symbol.asyncDispose]: closed };
  } catch (error) {
    calls?.closeNow();
    await app.close();
    await release();
    throw error;
  }
}

function cannotListen(where: string, cause: unknown): OnnxLoraError {
  const why = (cause as Error).message;
  return new OnnxLoraError('CONFIG_INVALID', `${where} cannot be listened on: ${why}. Name another port.`, { cause });
}

/** Refuses adapters of another base, or that have no place in it. */
function checkOf(model: Model, { allowBaseMismatch = false }: ServeSettings): (adapter: Adapter) => Promise<void> {
  return async (adapter) => {
    await modelFor(model, adapter).place(adapter, { allowBaseMismatch });
  };
}

/** Adapters of another base, or that have no place in it, are refused when they are brought. */
async function openStore(
  { folder, maxBytes, signedBy }: NonNullable<ServeSettings['store']>,
  model: Model,
  given: ServeSettings,
): Promise<AdapterStore> {
  const check = checkOf(model, given);
  return AdapterStore.open(folder, {
    check,
    maxTensors: () => mostTensors(model),
    ...defined({ maxBytes, keys: signedBy }),
  });
}

/** Tensors of an adapter at each module that can be adapted, as methods with several experts have them, and besides. */
const [TENSORS_OF_MODULE, TENSORS_BESIDE] = [32, 1000];

/** How many tensors an adapter of this model can have use for: what its modules can have, by the method with the most. */
function mostTensors(model: Model): number {
  const modules = [model, ...model.parts].reduce((sum, each) => sum + each.modules().length, 0);
  return TENSORS_BESIDE + TENSORS_OF_MODULE * modules;
}

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

function nameOf({ name }: Model): string {
  return path
    .basename(name, '.onnx')
    .replaceAll(/[^\w.-]/g, '-')
    .slice(0, 128);
}
