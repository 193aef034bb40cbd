/** @file Variants of the model: the base, and each adapter with its head, labels and predictor. */

import { type Adapter, type Model, modelForAdapter, OnnxLoraError } from '@onnx-lora/sdk';
import { guardedFactory, type PredictorOptions, type TaskFactory } from '@onnx-lora/sdk/plugin';
import type { Predictor, RunnableModel, RunnableSession } from '@onnx-lora/sdk/tasks';
import type { AdapterCatalog, ResolvedAdapter } from '../adapters/catalog.ts';
import type { InferenceScheduler } from './compute.ts';
import { type Served, servedModel, servedSession } from './servedModel.ts';
import type { Sessions } from './sessions.ts';

/** Total cost of cached variants. */
const MOST_KEPT = 16_384;
/** Cost of a variant with a predictor or its own model, relative to a plain one. */
const HEAVY = 64;
/** Cached predictors per adapter, by settings. */
const MOST_PREDICTORS = 8;

export interface VariantSettings {
  readonly base: Model;
  readonly catalog: AdapterCatalog;
  readonly sessions: Sessions;
  readonly scheduler: InferenceScheduler;
  /** Task name; by default each adapter's, and for the base the family's usual one. */
  readonly task?: string | undefined;
  readonly settings?: PredictorOptions['settings'];
}

export interface Variant {
  /** The model with the adapter's head and labels. */
  readonly model: Model;
  session(): Promise<RunnableSession>;
  /** Opens a task's predictor, the server's by default. */
  predictor(asked?: RequestedTask): Promise<TaskAnswers>;
}

export type RequestedTask = Pick<VariantSettings, 'task' | 'settings'>;

export interface TaskAnswers {
  readonly task: TaskFactory;
  readonly predictor: Predictor;
}

/** Caches variants by adapter, least recently used out first. */
export class Variants {
  readonly #settings: VariantSettings;
  readonly #kept = new Map<string | null, Promise<Variant>>();
  readonly #costs = new Map<string | null, number>();

  constructor(settings: VariantSettings) {
    this.#settings = settings;
  }

  /** Finds an adapter's variant. @throws OnnxLoraError `ADAPTER_MISMATCH` for another base; as the catalog */
  get(resolved: ResolvedAdapter | null): Promise<Variant> {
    const key = resolved?.key ?? null;
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    const variant = known ?? this.#make(key);
    this.#kept.set(key, variant);
    if (!known) {
      variant.then(
        ({ model }) => this.#count(key, model !== this.#settings.base),
        () => this.#kept.delete(key),
      );
    }
    return variant;
  }

  /** Adds a variant's cost and evicts others. */
  #count(key: string | null, isHeavy: boolean): void {
    if (isHeavy && this.#kept.has(key)) this.#costs.set(key, HEAVY);
    let cost = this.#kept.size;
    for (const each of this.#costs.values()) cost += each - 1;
    for (const oldest of this.#kept.keys()) {
      if (cost <= MOST_KEPT) return;
      cost -= this.#costs.get(oldest) ?? 1;
      this.#kept.delete(oldest);
      this.#costs.delete(oldest);
    }
  }

  forget(key: string): void {
    this.#kept.delete(key);
    this.#costs.delete(key);
  }

  async #make(key: string | null): Promise<Variant> {
    const { base, catalog, sessions, scheduler } = this.#settings;
    const load = async (): Promise<Adapter | undefined> => (key === null ? undefined : catalog.load(key));
    const adapter = await load();
    const own = adapter ? modelForAdapter(base, adapter) : base;
    const head = adapter?.notes.head;
    // A head that the base lacks belongs to the loaded graph; a resized one is fed.
    const isAttached = head !== undefined && !base.sitesByPath().has(head.module);
    const served: Served = {
      own,
      root: isAttached ? own : base,
      name: isAttached ? JSON.stringify(head) : '',
      adapter: key,
      load,
      sessions,
      scheduler,
    };
    return {
      model: own,
      session: kept(() => servedSession(served), 1),
      // Reloaded, so that only the session keeps the tensors.
      predictor: kept(async (asked) => {
        this.#count(key, true);
        return this.#predictor(own, servedModel(served), await load(), asked);
      }, MOST_PREDICTORS),
    };
  }

  async #predictor(
    own: Model,
    model: RunnableModel,
    adapter: Adapter | undefined,
    given?: RequestedTask,
  ): Promise<TaskAnswers> {
    const { settings, task: asked } = { ...this.#settings, ...given };
    const task = taskOf(own, asked ?? adapter?.notes.task);
    if (!task.predictor) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `The task "${task.name}" answers for no files. Send tensors to /v2/models/NAME/infer.`,
      );
    }
    const predictor = await task.predictor(model, { ...(settings && { settings }), ...(adapter && { adapter }) });
    return { task, predictor };
  }
}

/** @throws OnnxLoraError `CONFIG_INVALID` for an unknown or undetermined task */
function taskOf({ name, family, registry: { tasks } }: Model, asked: string | undefined): TaskFactory {
  const names = asked === undefined ? (family?.tasks ?? []) : [asked];
  const found = names.flatMap((each) => tasks.find((task) => task.name === each) ?? [])[0];
  if (found) return guardedFactory(found);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `${asked === undefined ? `Nothing says what "${name}" is asked for` : `No plugin of "${name}" brings the task "${asked}"`}. Tasks are ${tasks.map((task) => task.name).join(', ') || 'none'}.`,
  );
}

/** Caches the last results by argument; failures are not cached. */
function kept<Asked, T>(make: (asked?: Asked) => Promise<T>, most: number): (asked?: Asked) => Promise<T> {
  const all = new Map<string, Promise<T>>();
  return (asked) => {
    const key = JSON.stringify(asked ?? null);
    const made = all.get(key) ?? make(asked);
    all.delete(key);
    all.set(key, made);
    made.catch(() => all.delete(key));
    if (all.size > most) all.delete(all.keys().next().value!);
    return made;
  };
}
