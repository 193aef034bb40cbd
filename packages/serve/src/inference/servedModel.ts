/** @file A model whose sessions are those of the server: tasks make their predictors with it as with any other. */

import { type Adapter, type AdapterRunOptions, type InputSizes, Model } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableSession } from '@onnx-lora/sdk/tasks';
import { type InferenceScheduler, submit } from './compute.ts';
import type { LoadedSession, Sessions } from './sessions.ts';

/** What a {@link servedModel} stands for. */
export interface Served {
  /** As its adapter answers with it. */
  readonly own: Model;
  /** The graph that it shares with others: what is loaded. */
  readonly root: Model;
  /** Tells such graphs apart. */
  readonly name: string;
  /** The key of its adapter; null for the base. */
  readonly adapter: string | null;
  /** Reads the adapter, where there is one. */
  readonly load: () => Promise<Adapter | undefined>;
  readonly sessions: Sessions;
  readonly scheduler: InferenceScheduler;
  /** Values inside the graph that are to be outputs. */
  readonly outputs?: readonly string[];
  readonly sizes?: InputSizes;
}

/**
 * The model as tasks know it. What it is asked about itself, the adapter's own model answers; its sessions, and those of its
 * parts, run by the scheduler, with the adapter wherever one is named.
 */
export function servedModel(served: Served): RunnableModel {
  const { own, root, name, outputs = [] } = served;
  const changed: Partial<RunnableModel> = {
    withOutputs: (values) =>
      servedModel({ ...served, own: own.withOutputs(values), outputs: [...new Set([...outputs, ...values])] }),
    withInputSizes: (sizes) => servedModel({ ...served, own: own.withInputSizes(sizes), sizes }),
    session: () => servedSession(served),
    get parts() {
      return own.parts.map((part, i) => servedModel({ ...served, own: part, root: root.parts[i]!, name: `${name}/${part.name}`, outputs: [] })); // prettier-ignore
    },
  };
  return new Proxy<RunnableModel>(own, {
    get(target, key, proxy) {
      if (Object.hasOwn(changed, key)) return changed[key as keyof typeof changed];
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      return (...given: unknown[]): unknown => {
        const made: unknown = Reflect.apply(value, target, given);
        if (made === target) return proxy;
        return made instanceof Model ? derivedModel(served, made, key, given) : made;
      };
    },
  });
}

/** A model that was made of a served one, such as a decoder that gives fewer logits: its sessions are the server's, too. */
function derivedModel(served: Served, own: Model, how: string | symbol, given: readonly unknown[]): RunnableModel {
  const { outputs = [], sizes, ...others } = served;
  const whole = (sizes ? served.root.withInputSizes(sizes) : served.root).withOutputs(outputs);
  const root = Reflect.apply(Reflect.get(whole, how) as (...words: unknown[]) => Model, whole, given);
  // A graph that was given is known by what goes in and out.
  const words = how === 'derived' ? [Object.keys(own.inputs), Object.keys(own.outputs)] : given;
  const name = `${served.name}/${String(how)} ${JSON.stringify([words, outputs, sizes ?? null], plain)}`;
  return servedModel({ ...others, own, root, name });
}

/** What JSON has no words for. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  return ArrayBuffer.isView(value) ? Array.from(value as Uint8Array, String) : value;
}

/** A session whose runs wait in the scheduler's queue. */
export async function servedSession(served: Served): Promise<RunnableSession> {
  const { own, root, name, adapter, sessions, scheduler, outputs = [], sizes } = served;
  const read = await served.load();
  const keyed = read && { key: adapter!, adapter: read };
  const loaded: LoadedSession = await sessions.get(root, name, { outputs, sizes }, keyed);
  const { first: session } = loaded.session;
  const all = [...Object.keys(root.outputs), ...outputs];
  const kind = JSON.stringify(Object.values(own.outputs).map(({ dims }) => dims));
  return {
    inputNames: session.inputNames,
    outputNames: all,
    mixesRows: session.mixesRows,
    get provider() {
      return session.provider;
    },
    run: async (feeds, options) => {
      const { adapter: asked = null, fetches = all, bound, signal }: AdapterRunOptions = options ?? {};
      signal?.throwIfAborted();
      // A predictor knows one adapter, by whatever name, and the base.
      const wanted = (Array.isArray(asked) ? asked[0] : asked) === null ? null : adapter;
      return { ...(await submit(scheduler, { loaded, feeds, fetches, bound }, wanted, kind)) };
    },
    bind: (feeds) => session.bind(feeds),
    // It is the server's, and others use it.
    release: async () => undefined,
  };
}
