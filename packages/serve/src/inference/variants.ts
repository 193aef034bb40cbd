/** @file The base, and the model as each adapter answers with it: with its head, its labels and its task's predictor. */

import { type Adapter, type Model, modelFor, OnnxLoraError } from '@onnx-lora/sdk';
import { guardedFactory, type PredictorOptions, type TaskFactory } from '@onnx-lora/sdk/plugin';
import type { Predictor, RunnableModel, RunnableSession } from '@onnx-lora/sdk/tasks';
import type { AdapterCatalog, ResolvedAdapter } from '../adapters/catalog.ts';
import type { InferenceScheduler } from './compute.ts';
import { type Served, servedModel, servedSession } from './servedModel.ts';
import type { Sessions } from './sessions.ts';

/** What the adapters whose labels and predictors are kept may cost together. */
const MOST_KEPT = 16_384;
/** What one costs that has a predictor, or a model of its own, such as one with another head, compared to one that has neither. */
const HEAVY = 64;
/** Predictors of one adapter, for different settings. */
const MOST_PREDICTORS = 8;

/** What variants are made from. */
export interface VariantSettings {
  readonly base: Model;
  readonly catalog: AdapterCatalog;
  readonly sessions: Sessions;
  readonly scheduler: InferenceScheduler;
  /** Name of the task; by default each adapter's own, and of the base its family's usual one. */
  readonly task?: string | undefined;
  /** Values of the task's settings. */
  readonly settings?: PredictorOptions['settings'];
}

/** What answers for one adapter, or for the base. */
export interface Variant {
  /** The model with the adapter's labels and head. */
  readonly model: Model;
  /** The session that it runs on. */
  session(): Promise<RunnableSession>;
  /** The predictor of a task, by default the server's. */
  predictor(asked?: AskedTask): Promise<TaskAnswers>;
}

/** Which task answers, and how. */
export type AskedTask = Pick<VariantSettings, 'task' | 'settings'>;

/** A task and its predictor. */
export interface TaskAnswers {
  readonly task: TaskFactory;
  readonly predictor: Predictor;
}

/** Variants by their adapters; those used least recently are forgotten. */
export class Variants {
  readonly #settings: VariantSettings;
  readonly #kept = new Map<string | null, Promise<Variant>>();
  /** Of those that cost more than 1. */
  readonly #costs = new Map<string | null, number>();

  constructor(settings: VariantSettings) {
    this.#settings = settings;
  }

  /**
   * What answers for an adapter.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH` for one of another base; as the catalog
   */
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

  /** Notes what one costs, and gives up those that were used least recently beyond what may be kept. */
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

  /** Keeps nothing of an adapter any more. */
  forget(key: string): void {
    this.#kept.delete(key);
    this.#costs.delete(key);
  }

  async #make(key: string | null): Promise<Variant> {
    const { base, catalog, sessions, scheduler } = this.#settings;
    const load = async (): Promise<Adapter | undefined> => (key === null ? undefined : catalog.load(key));
    const adapter = await load();
    const own = adapter ? modelFor(base, adapter) : base;
    const head = adapter?.notes.head;
    // A head that the base lacks is a part of the graph that is loaded; one of another size is fed.
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
      // Read anew, so that its tensors are kept by the session alone.
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
    given?: AskedTask,
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

/** @throws OnnxLoraError `CONFIG_INVALID` where the model's plugins do not have it, or nothing says which */
function taskOf({ name, family, registry: { tasks } }: Model, asked: string | undefined): TaskFactory {
  const names = asked === undefined ? (family?.tasks ?? []) : [asked];
  const found = names.flatMap((each) => tasks.find((task) => task.name === each) ?? [])[0];
  if (found) return guardedFactory(found);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `${asked === undefined ? `Nothing says what "${name}" is asked for` : `No plugin of "${name}" brings the task "${asked}"`}. Tasks are ${tasks.map((task) => task.name).join(', ') || 'none'}.`,
  );
}

/** Makes something for each of what is asked, and keeps what was asked for last; again where that failed. */
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
