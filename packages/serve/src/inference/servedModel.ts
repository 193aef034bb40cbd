/** @file A model whose sessions are those of the server: tasks make their predictors with it as with any other. */

import type { Adapter, AdapterRunOptions, InputSizes, Model } from '@onnx-lora/sdk';
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
    get(target, key) {
      if (Object.hasOwn(changed, key)) return changed[key as keyof typeof changed];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** A session whose runs wait in the scheduler's queue. */
export async function servedSession(served: Served): Promise<RunnableSession> {
  const { own, root, name, adapter, sessions, scheduler, outputs = [], sizes } = served;
  const read = await served.load();
  const keyed = read && { key: adapter!, adapter: read };
  const loaded: LoadedSession = await sessions.get(root, name, { outputs, sizes }, keyed);
  const { session } = loaded;
  const all = [...Object.keys(root.outputs), ...outputs];
  const kind = JSON.stringify(Object.values(own.outputs).map(({ dims }) => dims));
  return {
    inputNames: session.inputNames,
    outputNames: all,
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
