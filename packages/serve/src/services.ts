/** @file The server's composition root. */

import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { type Adapter, type Model, modelForAdapter } from '@onnx-lora/sdk';
import {
  type Engines,
  ENGINES,
  type Key,
  key,
  nodeModule,
  Scope,
  type ServiceModule,
} from '@onnx-lora/sdk/composition';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { adaptersAt, isAddress, type PlacedAdapters } from './adapters/adaptersAt.ts';
import { type AdapterCatalog, cachedCatalog, type CachedCatalog, combineCatalogs } from './adapters/catalog.ts';
import { AdapterStore } from './adapters/store.ts';
import { type BodyBudget, MAX_BODIES_BYTES } from './http/bodies.ts';
import { hidingPaths } from './http/errors.ts';
import type { Service } from './http/service.ts';
import { compute, type Outputs, type Work } from './inference/compute.ts';
import { Sessions } from './inference/sessions.ts';
import { Variants } from './inference/variants.ts';
import { Access } from './operation/access.ts';
import { type Log, type LogEntry, logTo } from './operation/log.ts';
import { MemoryCeiling } from './operation/memoryCeiling.ts';
import { Statistics } from './operation/modelStatistics.ts';
import { type ServerMetrics, serverMetrics } from './operation/serverMetrics.ts';
import type { ServeSettings } from './operation/settings.ts';
import { openTracing, type Tracing } from './operation/tracing.ts';
import { MOST_ROWS } from './scheduler/batch.ts';
import { type Clock, systemClock } from './scheduler/options.ts';
import { type BatchScheduler, createScheduler } from './scheduler/scheduler.ts';

/** Options of `serve`. */
export interface ServeOptions extends ServeSettings {
  /** An additional source of adapters. */
  readonly catalog?: AdapterCatalog;
  /** Receives log entries; JSON lines on stderr by default. */
  readonly onLog?: (entry: LogEntry) => void;
  /** Modules that override services, such as `ENGINES`: for tests and other environments. */
  readonly replaced?: readonly ServiceModule[];
}

export const CLOCK: Key<Clock> = key('server/clock');
const ACCESS: Key<Access> = key('server/access');
const STORE: Key<AdapterStore | undefined> = key('server/store');
/** Adapters of the folder or URL, if any. */
const PLACED: Key<PlacedAdapters | undefined> = key('server/placed-adapters');
/** All adapters, with the latest cached. */
const CATALOG: Key<CachedCatalog> = key('server/catalog');
export const CEILING: Key<MemoryCeiling | undefined> = key('server/memory-ceiling');
export const BODIES: Key<BodyBudget> = key('server/bodies');
const METRICS: Key<ServerMetrics> = key('server/metrics');
const STATISTICS: Key<Statistics> = key('server/statistics');
const LOG: Key<Log> = key('server/log');
const TRACING: Key<Tracing | undefined> = key('server/tracing');
const SESSIONS: Key<Sessions> = key('server/sessions');
const SCHEDULER: Key<BatchScheduler<Work, Outputs>> = key('server/scheduler');
const VARIANTS: Key<Variants> = key('server/variants');
export const STATE: Key<{ isReady: boolean }> = key('server/state');
export const SERVICE: Key<Service> = key('server/service');

const VERSION = (createRequire(import.meta.url)('@onnx-lora/serve/package.json') as { version: string }).version;

type Settings = ServeSettings & Pick<ServeOptions, 'catalog'>;

interface Given extends Required<Pick<ServeOptions, 'onLog' | 'replaced'>> {
  readonly name: string;
}

/** Creates the services of a server. */
export function serverScope(model: Model, settings: Settings, { name, onLog, replaced }: Given): Scope {
  const own = [operation(settings, onLog), adapters(model, settings), inference(model, settings), routes(model, settings, name)]; // prettier-ignore
  return new Scope([nodeModule, ...own, ...replaced]);
}

function operation(
  { keys = [], log = 'failures', maxMemoryBytes, maxBodiesBytes = MAX_BODIES_BYTES }: Settings,
  onLog: (entry: LogEntry) => void,
): ServiceModule {
  // prettier-ignore
  return (provide) => {
    provide(CLOCK, () => systemClock);
    provide(METRICS, serverMetrics);
    provide(STATISTICS, () => new Statistics());
    provide(TRACING, () => openTracing(VERSION));
    provide(LOG, () => logTo(onLog, log));
    provide(STATE, () => ({ isReady: false }));
    provide(ACCESS, (clock: Clock) => new Access(keys, clock), [CLOCK]);
    provide(CEILING, () => (maxMemoryBytes === undefined ? undefined : new MemoryCeiling(maxMemoryBytes)));
    provide(
      BODIES,
      (ceiling: MemoryCeiling | undefined): BodyBudget => ({
        held: 0,
        get most() {
          return ceiling?.bodyBytes(maxBodiesBytes) ?? maxBodiesBytes;
        },
      }),
      [CEILING],
    );
  };
}

/** Sources of adapters. Those of another base, or without a place in it, are refused. */
function adapters(model: Model, settings: Settings): ServiceModule {
  const { store, adapters: place, cache, catalog, maxUploadBytes, allowBaseMismatch = false } = settings;
  const limits = {
    maxTensors: () => mostTensors(model),
    check: async (adapter: Adapter) => {
      await modelForAdapter(model, adapter).place(adapter, { allowBaseMismatch });
    },
  };
  return (provide) => {
    provide(
      STORE,
      () =>
        store && AdapterStore.open(store.folder, { ...limits, ...withoutUndefined({ maxBytes: store.maxBytes, keys: store.signedBy }) }), // prettier-ignore
      [],
      (opened) => opened?.close(),
    );
    provide(
      PLACED,
      () => (place === undefined ? undefined : adaptersAt(place, cache, { ...limits, ...withoutUndefined({ maxWeightBytes: maxUploadBytes }) })), // prettier-ignore
      [],
      (placed) => placed?.close(),
    );
    provide(
      CATALOG,
      (
        own: AdapterStore | undefined,
        placed: PlacedAdapters | undefined,
        metrics: ServerMetrics,
        ceiling: MemoryCeiling | undefined,
      ) => {
        // prettier-ignore
        const places: (AdapterCatalog | undefined)[] = [own, catalog, placed?.catalog];
        const all = metrics.counted(combineCatalogs(places.filter((each) => each !== undefined)));
        return cachedCatalog(ceiling?.bounded(all) ?? all);
      },
      [STORE, PLACED, METRICS, CEILING],
    );
  };
}

function inference(model: Model, given: Settings): ServiceModule {
  const { batches, queue, task, settings, replicas = 1, provider, threads, worker, allowBaseMismatch, targetModules, modulesToSave, useDora, maxAdapterBytes, maxSessions } = given; // prettier-ignore
  const machine = { replicas, ...withoutUndefined({ provider, threads, worker, allowBaseMismatch, targetModules, modulesToSave, useDora, maxAdapterBytes, maxSessions }) }; // prettier-ignore
  return (provide) => {
    provide(
      SESSIONS,
      (catalog: CachedCatalog, { beside }: Engines, ceiling: MemoryCeiling | undefined) => {
        const sessions = new Sessions(catalog, machine, beside, ceiling && ((most) => ceiling.adapterBytes(most)));
        ceiling?.whenTight((part) => sessions.shrink(part));
        return sessions;
      },
      [CATALOG, ENGINES, CEILING],
      (sessions) => sessions.release(),
    );
    provide(
      SCHEDULER,
      (statistics: Statistics, access: Access, metrics: ServerMetrics, ceiling: MemoryCeiling | undefined) =>
        createScheduler(statistics.counted(ceiling?.watched(compute) ?? compute), {
          ...batches,
          ...queue,
          concurrency: replicas,
          weightOf: (tenant) => access.weightOf(tenant),
          observer: metrics.observer,
          ...(ceiling && {
            batchLimits: () => ceiling.batchLimits(batches ?? {}),
            refuses: (job, isIdle) => ceiling.refuses(job, isIdle),
          }),
        }),
      [STATISTICS, ACCESS, METRICS, CEILING],
    );
    provide(
      VARIANTS,
      (catalog: CachedCatalog, sessions: Sessions, scheduler: BatchScheduler<Work, Outputs>) =>
        new Variants({ base: model, catalog, sessions, scheduler, task, settings }),
      [CATALOG, SESSIONS, SCHEDULER],
    );
  };
}

function routes(
  model: Model,
  { batches, maxMemoryBytes, adapters: place, store: kept, cache }: Settings,
  name: string,
): ServiceModule {
  // prettier-ignore
  return (provide) => {
    provide(
      SERVICE,
      (catalog: CachedCatalog, store: AdapterStore | undefined, variants: Variants, sessions: Sessions, scheduler: BatchScheduler<Work, Outputs>, access: Access, metrics: ServerMetrics, statistics: Statistics, log: Log, tracing: Tracing | undefined, state: { isReady: boolean }): Service => { // prettier-ignore
        metrics.watch(scheduler, sessions);
        return {
          name,
          version: VERSION,
          base: model,
          catalog,
          store,
          variants,
          scheduler,
          access,
          metrics,
          statistics,
          maxRows: batches?.maxRows ?? MOST_ROWS,
          log,
          tracing,
          loadedKeys: () => sessions.adapterKeys,
          sessionCount: () => sessions.count,
          memoryLimit: maxMemoryBytes ?? null,
          hidePaths: hidingPaths([
            [model.name, name],
            [model.folder, name],
            [place === undefined || isAddress(place) ? undefined : place, 'adapters'],
            [kept?.folder, 'store'],
            [cache?.folder, 'cache'],
            [tmpdir(), 'tmp'],
            [homedir(), '~'],
          ]),
          forget: (adapter) => {
            for (const each of [catalog, variants, sessions]) each.forget(adapter);
          },
          isReady: () => state.isReady,
        };
      },
      [CATALOG, STORE, VARIANTS, SESSIONS, SCHEDULER, ACCESS, METRICS, STATISTICS, LOG, TRACING, STATE],
    );
  };
}

/** Maximum tensors of an adapter per module, as mixtures of experts have, and besides. */
const [TENSORS_OF_MODULE, TENSORS_BESIDE] = [32, 1000];

/** Maximum tensors of an adapter of this model. */
function mostTensors(model: Model): number {
  const modules = [model, ...model.parts].reduce((sum, each) => sum + each.modules().length, 0);
  return TENSORS_BESIDE + TENSORS_OF_MODULE * modules;
}
