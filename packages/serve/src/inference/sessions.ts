/** @file The sessions of a server: few, each with room for every adapter, opened when something first needs them. */

import type { AdapterSession, InputSizes, Model, ModelSessionOptions } from '@onnx-lora/sdk';
import type { AdapterCatalog } from '../adapters/catalog.ts';

/** How the sessions of a server are loaded. */
export interface SessionSettings extends Pick<
  ModelSessionOptions,
  'provider' | 'threads' | 'worker' | 'allowBaseMismatch' | 'targetModules' | 'modulesToSave' | 'useDora'
> {
  /** Bytes that the adapters of a session may take in memory; those used least recently give way. 1 GiB by default. */
  readonly maxAdapterBytes?: number;
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
  readonly session: AdapterSession;
  readonly outputs: ReadonlySet<string>;
  /** Whether all inputs have rows in front, as many as there are, so that requests can be rows of one batch. */
  readonly takesRows: boolean;
}

const GIGABYTE = 2 ** 30;

/** Opens sessions of a model and keeps them. */
export class Sessions {
  readonly #catalog: AdapterCatalog;
  readonly #settings: SessionSettings;
  readonly #opened = new Map<
    string,
    { readonly outputs: readonly string[]; readonly session: Promise<LoadedSession> }
  >();

  constructor(catalog: AdapterCatalog, settings: SessionSettings) {
    this.#catalog = catalog;
    this.#settings = settings;
  }

  /**
   * A session of this graph, which may have more outputs than are asked for.
   *
   * @param root what all adapters that it is for have in common; models of one `name` have one graph
   */
  get(root: Model, name: string, { outputs, sizes }: GraphChoice): Promise<LoadedSession> {
    const kind = JSON.stringify([name, sizes ?? null]);
    const inner = outputs.filter((value) => !Object.hasOwn(root.outputs, value)).sort();
    for (const [id, each] of this.#opened)
      if (id.startsWith(kind) && inner.every((value) => each.outputs.includes(value))) return each.session;
    const id = `${kind}${JSON.stringify(inner)}`;
    const session = this.#open(sizes ? root.withInputSizes(sizes) : root, inner, id);
    this.#opened.set(id, { outputs: inner, session });
    // One that could not be opened is tried again.
    session.catch(() => this.#opened.delete(id));
    return session;
  }

  async #open(root: Model, inner: readonly string[], id: string): Promise<LoadedSession> {
    const { maxAdapterBytes = GIGABYTE, targetModules = 'all-linear', modulesToSave, ...settings } = this.#settings;
    const session = await root.withOutputs(inner).session({
      ...settings,
      targetModules,
      modulesToSave: modulesToSave ?? headsOf(root),
      adapterSource: { load: (key) => this.#catalog.load(key), maxBytes: maxAdapterBytes },
    });
    const takesRows = Object.values(root.inputs).every(({ dims }) => typeof dims?.[0] === 'string');
    return { id, session, outputs: new Set(session.outputNames), takesRows };
  }

  /** Frees all of them. */
  async release(): Promise<void> {
    const all = [...this.#opened.values()];
    this.#opened.clear();
    for (const { session } of all) await (await session.catch(() => undefined))?.session.release();
  }
}

/** The layers that give the outputs: adapters bring heads of their own. */
function headsOf(model: Model): string[] {
  return [...new Set(Object.keys(model.outputs).flatMap((output) => model.headInput(output)?.module ?? []))];
}
