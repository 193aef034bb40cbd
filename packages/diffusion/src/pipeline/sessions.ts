/** @file Sessions of a pipeline's networks: loaded at first need, one for each kind of adapters. */

import {
  type Adapter,
  type AdapterSession,
  type Feeds,
  type Model,
  OnnxLoraError,
  type RowAdapter,
  type Tensor,
} from '@onnx-lora/sdk';
import { LORA } from '@onnx-lora/sdk/plugin';
import type { PipelineAdapter } from '../files/readAdapters.ts';
import { gathered, scattered } from './rows.ts';

/** A session that runs hold. */
interface Held {
  session: Promise<AdapterSession>;
  readonly adapters: Map<string, Adapter>;
  runs: number;
}

/** A call of a network. */
interface NetworkCall {
  readonly component: string;
  readonly feeds: Feeds;
  readonly fetches: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** A run's use of the networks, with the adapters as they were when it began. */
export interface PipelineRun {
  /** Runs a network; feeds of as many rows as the run has are split where rows need different sessions. */
  call(call: NetworkCall): Promise<Readonly<Record<string, Tensor>>>;
}

/**
 * Adapters by name, and the sessions that hold them. A session holds any number of plain LoRA; of other forms, adapters
 * of one structure.
 */
export class PipelineSessions {
  readonly #models: Readonly<Record<string, Model>>;
  readonly #adapters = new Map<string, PipelineAdapter>();
  readonly #held = new Map<string, Held>();

  constructor(models: Readonly<Record<string, Model>>) {
    this.#models = models;
  }

  /** Names of the adapters. */
  get names(): readonly string[] {
    return [...this.#adapters.keys()];
  }

  /** Adds or replaces an adapter for later runs. */
  set(name: string, adapter: PipelineAdapter): void {
    this.#adapters.set(name, adapter);
  }

  /** Removes an adapter for later runs; false if the name is unknown. */
  remove(name: string): boolean {
    return this.#adapters.delete(name);
  }

  /**
   * Runs networks with an adapter per row.
   * @throws OnnxLoraError `INPUT_INVALID` for a blend of adapters that no session holds together
   */
  async with<T>(rows: readonly RowAdapter[], use: (run: PipelineRun) => Promise<T>): Promise<T> {
    const adapters = new Map(this.#adapters);
    const taken = new Set<Held>();
    const call = async ({ component, feeds, fetches, signal }: NetworkCall): Promise<Record<string, Tensor>> => {
      const groups = groupsOf(rows, component, adapters);
      const outputs: Record<string, Tensor>[] = [];
      for (const { kind, own, places } of groups) {
        const needed = new Map(namesOf(own).map((name) => [name, adapters.get(name)!.adapters[component]!]));
        const held = await this.#take(component, kind, needed, taken);
        const session = await held.session;
        const part = groups.length === 1 ? feeds : gathered(feeds, places, rows.length);
        const adapter = own.every((row) => row === null) ? null : own;
        outputs.push(await session.run(part, { adapter, fetches, ...(signal ? { signal } : {}) }));
      }
      return groups.length === 1
        ? outputs[0]!
        : scattered(
            outputs,
            groups.map(({ places }) => places),
          );
    };
    try {
      return await use({ call });
    } finally {
      for (const held of taken) await this.#leave(held);
    }
  }

  /** Frees all sessions once their runs end. */
  async release(): Promise<void> {
    const all = [...this.#held.values()];
    this.#held.clear();
    for (const held of all) if (held.runs === 0) await (await held.session.catch(() => undefined))?.release();
  }

  /** A session that holds these adapters: the present one, if they can be added to it, or another. */
  async #take(component: string, kind: string, needed: ReadonlyMap<string, Adapter>, taken: Set<Held>): Promise<Held> {
    const key = `${component} ${kind}`;
    const present = this.#held.get(key);
    const fits = (held: Held): boolean => [...needed].every(([name, adapter]) => held.adapters.get(name) === adapter);
    for (const held of taken) if (held === present && fits(held)) return held;
    if (present && (fits(present) || (await this.#added(present, needed)))) return take(present, taken);
    const all = [...this.#adapters].flatMap(([name, { adapters }]): [string, Adapter][] =>
      adapters[component] && kindOf(adapters[component]) === kind ? [[name, adapters[component]]] : [],
    );
    const adapters = new Map([...all, ...needed]);
    const session = this.#models[component]!.session({ adapters: Object.fromEntries(adapters) });
    const held: Held = { session, adapters, runs: 0 };
    this.#held.set(key, held);
    if (present) await this.#leave(present, 0);
    try {
      await session;
    } catch (error) {
      // A session that could not be made is tried again.
      if (this.#held.get(key) === held) this.#held.delete(key);
      throw error;
    }
    return take(held, taken);
  }

  /** Adds adapters to a session that no run holds; false if it has no slots for them. */
  async #added(held: Held, needed: ReadonlyMap<string, Adapter>): Promise<boolean> {
    if (held.runs > 0) return false;
    const session = await held.session;
    try {
      for (const [name, adapter] of needed) {
        const before = held.adapters.get(name);
        if (before === adapter) continue;
        await (before ? session.replace(name, adapter) : session.add(name, adapter));
        held.adapters.set(name, adapter);
      }
      return true;
    } catch (error) {
      if (error instanceof OnnxLoraError && error.code === 'ADAPTER_MISMATCH') return false;
      throw error;
    }
  }

  async #leave(held: Held, by = 1): Promise<void> {
    held.runs -= by;
    if (held.runs === 0 && ![...this.#held.values()].includes(held)) await (await held.session).release();
  }
}

function take(held: Held, taken: Set<Held>): Held {
  if (!taken.has(held)) held.runs++;
  taken.add(held);
  return held;
}

/** Rows that one session runs. */
interface Group {
  readonly kind: string;
  /** Their adapters of the network. */
  readonly own: RowAdapter[];
  /** Their places in the batch. */
  readonly places: number[];
}

function groupsOf(
  rows: readonly RowAdapter[],
  component: string,
  adapters: ReadonlyMap<string, PipelineAdapter>,
): readonly Group[] {
  const own = rows.map((row) => partOf(row, component, adapters));
  const kinds = own.map((row) => {
    const found = new Map(namesOf([row]).map((name) => [kindOf(adapters.get(name)!.adapters[component]!), name]));
    if (found.size < 2) return [...found.keys()][0];
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The adapters ${[...found.values()].map((name) => `"${name}"`).join(' and ')} change ${component} in different ways, and cannot be in one picture. Convert them to plain LoRA, or name one.`,
    );
  });
  // Rows of the base go with any others.
  const usual = kinds.find((kind) => kind !== undefined) ?? LORA;
  const named = namesOf(own).map((name) => adapters.get(name)!.adapters[component]!);
  const apart = new Set(named.filter((adapter) => !differsByRow(adapter)).map(kindOf));
  const groups = new Map<string, Group>();
  own.forEach((row, i) => {
    const kind = kinds[i] ?? usual;
    const key = apart.has(kind) ? `${kind} ${JSON.stringify(row)}` : kind;
    const group = groups.get(key) ?? { kind, own: [], places: [] };
    groups.set(key, group);
    group.own.push(row);
    group.places.push(i);
  });
  return [...groups.values()];
}

/** The part of a row's adapters that changes a network. */
function partOf(row: RowAdapter, component: string, adapters: ReadonlyMap<string, PipelineAdapter>): RowAdapter {
  const has = (name: string): boolean => adapters.get(name)?.adapters[component] !== undefined;
  if (row === null) return null;
  if (typeof row === 'string') return has(row) ? row : null;
  const parts = Object.entries(row).filter(([name, weight]) => has(name) && weight !== 0);
  if (parts.length === 0) return null;
  return parts.length === 1 && parts[0]![1] === 1 ? parts[0]![0] : Object.fromEntries(parts);
}

function namesOf(rows: readonly RowAdapter[]): string[] {
  return rows.flatMap((row) => (row === null ? [] : typeof row === 'string' ? [row] : Object.keys(row)));
}

/** Whether one run can have another adapter for each row: plain LoRA of linear layers. */
function differsByRow({ config, tensors }: Adapter): boolean {
  return config.peftType === LORA && [...tensors.values()].every(({ dims }) => dims.length <= 2);
}

const kinds = new WeakMap<Adapter, string>();

/** Adapters of one kind fit into one session. */
function kindOf(adapter: Adapter): string {
  const { config, tensors } = adapter;
  if (config.peftType === LORA) return LORA;
  const known = kinds.get(adapter) ?? [config.peftType, ...[...tensors].map(([name, { dims }]) => `${name}:${dims.join('x')}`)].join(); // prettier-ignore
  kinds.set(adapter, known);
  return known;
}
