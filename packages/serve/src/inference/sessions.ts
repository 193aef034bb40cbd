/** @file The server's sessions: few, with room for all adapters, opened on demand. */

import { availableParallelism } from 'node:os';
import {
  type Adapter,
  type AdapterSession,
  type InputSizes,
  type Model,
  type ModelSessionOptions,
  OnnxLoraError,
  type Runtime,
} from '@onnx-lora/sdk';
import type { AdapterCatalog } from '../adapters/catalog.ts';
import { type Padding, paddingOf } from './padding.ts';
import { Replicas } from './replicas.ts';

/** Settings of sessions. */
export interface SessionSettings extends Pick<
  ModelSessionOptions,
  'provider' | 'threads' | 'worker' | 'allowBaseMismatch' | 'targetModules' | 'modulesToSave' | 'useDora'
> {
  /** Maximum bytes of a session's adapters, evicted least recently used first; 1 GiB by default. */
  readonly maxAdapterBytes?: number;
  /** Maximum number of loaded graphs, each with a copy of the weights, for kinds of adapters; 4 by default. */
  readonly maxSessions?: number;
  /**
   * Copies of each graph for concurrent batches, each with its share of the cores and a copy of the weights; 1 by
   * default.
   */
  readonly replicas?: number;
}

export interface GraphChoice {
  /** Additional outputs from inside the graph. */
  readonly outputs: readonly string[];
  /** Smaller input sizes than the file's. */
  readonly sizes?: InputSizes | undefined;
}

/** A session with facts for batching. */
export interface LoadedSession {
  readonly id: string;
  readonly session: Replicas;
  readonly outputs: ReadonlySet<string>;
  /** Whether requests can share a batch: all inputs have a rows axis, and rows are independent. */
  readonly takesRows: boolean;
  /** How sequences are padded; undefined if they cannot be. */
  readonly padding: Padding | undefined;
}

const GIGABYTE = 2 ** 30;

export interface KeyedAdapter {
  readonly key: string;
  readonly adapter: Adapter;
}

interface Opened extends LoadedSession {
  /** Sessions of one kind share a graph, apart from adapters and extra outputs. */
  readonly kind: string;
}

/** Opens and keeps sessions. */
export class Sessions {
  readonly #catalog: AdapterCatalog;
  readonly #settings: SessionSettings;
  readonly #adapterBytes: (most: number) => number;
  readonly #opened: Opened[] = [];
  /** Runtimes of the replicas. */
  readonly #others: readonly Runtime[];
  /** Serializes opening: a new session may serve the next request. */
  #turn: Promise<unknown> = Promise.resolve();

  /**
   * @param beside creates the runtime of a replica
   * @param adapterBytes bytes for adapters now, given their maximum
   */
  constructor(
    catalog: AdapterCatalog,
    settings: SessionSettings,
    beside: () => Runtime,
    adapterBytes = (most: number): number => most,
  ) {
    this.#catalog = catalog;
    this.#settings = settings;
    this.#others = Array.from({ length: (settings.replicas ?? 1) - 1 }, () => beside());
    this.#adapterBytes = adapterBytes;
  }

  /**
   * A session of this graph, possibly with more outputs, with room for the adapter. The first one holds adapters of
   * linear layers and heads; other kinds share one session each.
   * @param root the model that its adapters share; models of one `name` have one graph
   * @throws OnnxLoraError `ADAPTER_MISMATCH` for another base, or one kind too many; as `model.session`
   */
  get(root: Model, name: string, choice: GraphChoice, keyed?: KeyedAdapter): Promise<LoadedSession> {
    const found = this.#turn.then(() => this.#get(root, name, choice, keyed));
    this.#turn = found.catch(() => undefined);
    return found;
  }

  async #get(root: Model, name: string, { outputs, sizes }: GraphChoice, keyed?: KeyedAdapter): Promise<LoadedSession> {
    const kind = JSON.stringify([name, sizes ?? null]);
    const inner = outputs.filter((value) => !Object.hasOwn(root.outputs, value)).sort();
    const graph = (sizes ? root.withInputSizes(sizes) : root).withOutputs(inner);
    const fitting = this.#opened.filter(
      (each) => each.kind === kind && inner.every((value) => each.outputs.has(value)),
    );
    for (const each of fitting) if (await this.#hasRoom(each, keyed)) return each;
    const usual = fitting.length > 0 ? undefined : await this.#open(graph, kind);
    if (usual && (await this.#hasRoom(usual, keyed))) return usual;
    return this.#open(graph, kind, keyed);
  }

  async #hasRoom({ session }: LoadedSession, keyed: KeyedAdapter | undefined): Promise<boolean> {
    const { allowBaseMismatch = false } = this.#settings;
    try {
      if (keyed && !session.adapterNames.includes(keyed.key))
        await session.first.requireRoom(keyed.adapter, { allowBaseMismatch });
      return true;
    } catch (error) {
      if (error instanceof OnnxLoraError && error.code === 'ADAPTER_MISMATCH') return false;
      throw error;
    }
  }

  async #open(graph: Model, kind: string, keyed?: KeyedAdapter): Promise<Opened> {
    const { maxAdapterBytes = GIGABYTE, maxSessions = 4, targetModules = 'all-linear', modulesToSave = headsOf(graph), replicas = 1, ...settings } = this.#settings; // prettier-ignore
    const adapterBytes = this.#adapterBytes;
    const options: ModelSessionOptions = {
      ...settings,
      ...(replicas > 1 && { threads: settings.threads ?? Math.max(1, Math.floor(availableParallelism() / replicas)) }),
      // Spinning would take cores from the clients' connections.
      spins: false,
      ...(keyed && { adapters: { [keyed.key]: keyed.adapter } }),
      adapterSource: {
        load: (key) => this.#catalog.load(key),
        // Evaluated for each loaded adapter.
        get maxBytes() {
          return adapterBytes(maxAdapterBytes);
        },
      },
    };
    // Another base is reported before a lack of sessions.
    if (keyed) await graph.place(keyed.adapter, { allowBaseMismatch: settings.allowBaseMismatch ?? false });
    if (this.#opened.length >= maxSessions) {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `The adapter "${keyed?.key ?? 'base'}" needs a graph of its own, and the server holds ${maxSessions} already, each with its copy of the weights. Raise maxSessions, or serve adapters of such different kinds apart.`,
      );
    }
    const session = await this.#replicated(graph, { ...options, targetModules, modulesToSave }).catch(
      (error: unknown) => {
        // The adapter's change of a layer may exclude others.
        if (keyed && error instanceof OnnxLoraError && error.code === 'ADAPTER_MISMATCH')
          return this.#replicated(graph, options);
        throw error;
      },
    );
    const takesRows =
      !session.first.mixesRows && Object.values(graph.inputs).every(({ dims }) => typeof dims?.[0] === 'string');
    const opened = {
      id: `${kind} ${this.#opened.length}`,
      kind,
      session,
      outputs: new Set(session.first.outputNames),
      takesRows,
      padding: takesRows ? await paddingOf(graph, session) : undefined,
    };
    this.#opened.push(opened);
    return opened;
  }

  /** Loads all replicas of a graph. */
  async #replicated(graph: Model, options: ModelSessionOptions): Promise<Replicas> {
    const all: [AdapterSession, ...AdapterSession[]] = [await graph.session(options)];
    try {
      for (const worker of this.#others) all.push(await graph.session({ ...options, worker }));
    } catch (error) {
      for (const session of all) await session.release();
      throw error;
    }
    return new Replicas(all);
  }

  get count(): number {
    return this.#opened.length;
  }

  get adapterKeys(): ReadonlySet<string> {
    return new Set(this.#opened.flatMap(({ session }) => session.adapterNames));
  }

  /** Unloads an adapter after its running batches. */
  forget(key: string): void {
    for (const { session } of this.#opened) session.remove(key);
  }

  /** Unloads a fraction of the adapters, oldest first. */
  shrink(part: number): void {
    for (const { session } of this.#opened) {
      const names = session.adapterNames;
      for (const name of names.slice(0, Math.ceil(names.length * part))) session.remove(name);
    }
  }

  async release(): Promise<void> {
    await this.#turn;
    for (const { session } of this.#opened.splice(0)) await session.release();
  }
}

/** The output layers, which adapters replace by their heads. */
function headsOf(model: Model): string[] {
  return [...new Set(Object.keys(model.outputs).flatMap((output) => model.headInput(output)?.module ?? []))];
}
