/** @file A model for predictors whose sessions are the server's. */

import { type Adapter, type AdapterRunOptions, type InputSizes, Model } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableSession } from '@onnx-lora/sdk/tasks';
import { type InferenceScheduler, submit } from './compute.ts';
import type { LoadedSession, Sessions } from './sessions.ts';

export interface Served {
  readonly own: Model;
  /** The shared graph that is loaded. */
  readonly root: Model;
  readonly name: string;
  /** Key of the adapter; null for the base. */
  readonly adapter: string | null;
  readonly load: () => Promise<Adapter | undefined>;
  readonly sessions: Sessions;
  readonly scheduler: InferenceScheduler;
  /** Inner values to expose as outputs. */
  readonly outputs?: readonly string[];
  readonly sizes?: InputSizes;
}

/**
 * The model for tasks. Its properties are the adapter's own model's; sessions of it and its parts run through the
 * scheduler, always with the adapter.
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

/** Serves a derived model, such as a decoder with fewer logits. */
function derivedModel(served: Served, own: Model, how: string | symbol, given: readonly unknown[]): RunnableModel {
  const { outputs = [], sizes, ...others } = served;
  const whole = (sizes ? served.root.withInputSizes(sizes) : served.root).withOutputs(outputs);
  const root = Reflect.apply(Reflect.get(whole, how) as (...words: unknown[]) => Model, whole, given);
  // A given graph is identified by its inputs and outputs.
  const words = how === 'derived' ? [Object.keys(own.inputs), Object.keys(own.outputs)] : given;
  const name = `${served.name}/${String(how)} ${JSON.stringify([words, outputs, sizes ?? null], plain)}`;
  return servedModel({ ...others, own, root, name });
}

/** Replaces values that JSON cannot represent. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  return ArrayBuffer.isView(value) ? Array.from(value as Uint8Array, String) : value;
}

/** A session that runs through the scheduler. */
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
      // Predictors know only their adapter, under any name, and the base.
      const wanted = (Array.isArray(asked) ? asked[0] : asked) === null ? null : adapter;
      return { ...(await submit(scheduler, { loaded, feeds, fetches, bound }, wanted, kind)) };
    },
    bind: (feeds) => session.bind(feeds),
    // Shared with others.
    release: async () => undefined,
  };
}
