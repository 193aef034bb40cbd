/** @file The sessions of a server: few, each with room for every adapter, opened when something first needs them. */

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

/** How the sessions of a server are loaded. */
export interface SessionSettings extends Pick<
  ModelSessionOptions,
  'provider' | 'threads' | 'worker' | 'allowBaseMismatch' | 'targetModules' | 'modulesToSave' | 'useDora'
> {
  /** Bytes that the adapters of a session may take in memory; those used least recently give way. 1 GiB by default. */
  readonly maxAdapterBytes?: number;
  /** Graphs that are loaded at most, for adapters of different kinds, each with a copy of the weights; 4 by default. */
  readonly maxSessions?: number;
  /**
   * How often each graph is loaded, so that as many batches compute at a time, each on its part of the cores and with a copy of
   * the weights; 1 by default.
   */
  readonly replicas?: number;
}

/** Which graph is run, of those that can be made of a model. */
export interface GraphChoice {
  /** Values inside the graph that are outputs besides. */
  readonly outputs: readonly string[];
  /** Smaller inputs than the file has. */
  readonly sizes?: InputSizes | undefined;
}

/** A session, and what requests need to know of it. */
export interface LoadedSession {
  /** Tells sessions of a server apart. */
  readonly id: string;
  readonly session: Replicas;
  readonly outputs: ReadonlySet<string>;
  /** Whether requests can be rows of one batch: all inputs have rows in front, and no row changes what another gets. */
  readonly takesRows: boolean;
  /** How sequences of different lengths share a batch; undefined where they do not. */
  readonly padding: Padding | undefined;
}

const GIGABYTE = 2 ** 30;

/** An adapter, and the key that it is asked for by. */
export interface KeyedAdapter {
  readonly key: string;
  readonly adapter: Adapter;
}

interface Opened extends LoadedSession {
  /** Sessions of one kind are of one graph, but for the places of adapters and what it gives. */
  readonly kind: string;
}

/** Opens sessions of a model and keeps them. */
export class Sessions {
  readonly #catalog: AdapterCatalog;
  readonly #settings: SessionSettings;
  readonly #adapterBytes: (most: number) => number;
  readonly #opened: Opened[] = [];
  /** Where all but the first of a graph's sessions compute. */
  readonly #others: readonly Runtime[];
  /** Ends when no session is being opened: what another opens may do. */
  #turn: Promise<unknown> = Promise.resolve();

  /**
   * @param beside makes what a replica computes on
   * @param adapterBytes bytes that adapters may take now, of those that they may at most
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
   * A session of this graph, which may have more outputs than are asked for, with room for the adapter. What adapts linear layers
   * or brings a head has it in the first; another kind gets a session of its own, for all of that kind.
   *
   * @param root what all adapters that it is for have in common; models of one `name` have one graph
   * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another base, or of one kind too many; as `model.session`
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
      // Cores that wait are those that talk to clients.
      spins: false,
      ...(keyed && { adapters: { [keyed.key]: keyed.adapter } }),
      adapterSource: {
        load: (key) => this.#catalog.load(key),
        // Asked for with each adapter that is loaded.
        get maxBytes() {
          return adapterBytes(maxAdapterBytes);
        },
      },
    };
    // An adapter of another base is told so before it is told that there is no room.
    if (keyed) await graph.place(keyed.adapter, { allowBaseMismatch: settings.allowBaseMismatch ?? false });
    if (this.#opened.length >= maxSessions) {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `The adapter "${keyed?.key ?? 'base'}" needs a graph of its own, and the server holds ${maxSessions} already, each with its copy of the weights. Raise maxSessions, or serve adapters of such different kinds apart.`,
      );
    }
    const session = await this.#replicated(graph, { ...options, targetModules, modulesToSave }).catch(
      (error: unknown) => {
        // What it makes of a layer may be nothing that others can have beside it.
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

  /** The graph, loaded as often as it is to be. */
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

  /** How many there are. */
  get count(): number {
    return this.#opened.length;
  }

  /** Keys of the adapters that are in memory. */
  get adapterKeys(): ReadonlySet<string> {
    return new Set(this.#opened.flatMap(({ session }) => session.adapterNames));
  }

  /** Keeps nothing of an adapter any more, but for what runs with it. */
  forget(key: string): void {
    for (const { session } of this.#opened) session.remove(key);
  }

  /** Gives up so large a part of the adapters in memory, those that came first. */
  shrink(part: number): void {
    for (const { session } of this.#opened) {
      const names = session.adapterNames;
      for (const name of names.slice(0, Math.ceil(names.length * part))) session.remove(name);
    }
  }

  /** Frees all of them. */
  async release(): Promise<void> {
    await this.#turn;
    for (const { session } of this.#opened.splice(0)) await session.release();
  }
}

/** The layers that give the outputs: adapters bring heads of their own. */
function headsOf(model: Model): string[] {
  return [...new Set(Object.keys(model.outputs).flatMap((output) => model.headInput(output)?.module ?? []))];
}
