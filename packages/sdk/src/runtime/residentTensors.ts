/** @file Tensors that stay in GPU memory between runs. */

import type { NativeOptions } from './engine.ts';
import type { DataType, TensorData } from './tensor.ts';

/** The used part of onnxruntime-node. */
export interface OrtModule {
  readonly InferenceSession: {
    create(
      model: Uint8Array,
      options: NativeOptions & { readonly preferredOutputLocation?: 'gpu-buffer' },
    ): Promise<OrtSession>;
  };
  readonly Tensor: new (type: DataType, data: TensorData, dims: readonly number[]) => OrtTensor;
}

/** A tensor of onnxruntime-node. Reading the data of one on a GPU crashes the process. */
export interface OrtTensor {
  readonly type: DataType;
  readonly dims: readonly number[];
  readonly data: TensorData;
  dispose(): void;
}

/** Tensors by graph input name. */
export type OrtFeeds = Readonly<Record<string, OrtTensor>>;

/** A session of onnxruntime-node. */
export interface OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: OrtFeeds, fetches?: readonly string[]): Promise<OrtFeeds>;
  endProfiling(): void;
  release(): Promise<void>;
}

/** GPU copies of one graph's bound tensors. */
export interface ResidentTensors<Key> {
  /** The copies, made on first use; the tensor itself where a copy is impossible. */
  of(key: Key, tensors: OrtFeeds): Promise<OrtFeeds>;
  drop(key: Key): void;
  release(): Promise<void>;
}

/** y = Identity(x) for float32 of any shape, as an ONNX file. */
export const identityModel = 'CAg6KwoQCgF4EgF5IghJZGVudGl0eRIBZ1oJCgF4EgQKAggBYgkKAXkSBAoCCAFCBAoAEA0=';

/**
 * Keeps GPU copies for a graph on WebGPU, the only provider whose tensors onnxruntime-node can pass between runs. The
 * function's text becomes part of the worker program, so it may use nothing but its arguments.
 * @param options options of the graph's own session
 */
export function residentTensors<Key>(
  ort: OrtModule,
  identity: Uint8Array,
  options: NativeOptions,
): ResidentTensors<Key> {
  const copies = new Map<Key, Promise<OrtFeeds>>();
  let opened: Promise<OrtSession> | undefined;

  const uploaded = async (tensors: OrtFeeds): Promise<OrtFeeds> => {
    // There must be only one profile, the graph's.
    const own = { ...options, enableProfiling: false, preferredOutputLocation: 'gpu-buffer' } as const;
    opened ??= ort.InferenceSession.create(identity, own);
    const session = await opened;
    const result: Record<string, OrtTensor> = {};
    for (const [name, tensor] of Object.entries(tensors)) {
      const isCopied = tensor.type === 'float32' && tensor.data.length > 0;
      result[name] = isCopied ? (await session.run({ x: tensor }))['y']! : tensor;
    }
    return result;
  };

  const free = (own: Promise<OrtFeeds> | undefined): void => {
    own?.then(
      (tensors) => Object.values(tensors).forEach((tensor) => tensor.dispose()),
      () => undefined,
    );
  };

  return {
    of: (key, tensors) => {
      let own = copies.get(key);
      if (!own) {
        copies.set(key, (own = uploaded(tensors)));
        own.catch(() => copies.delete(key));
      }
      return own;
    },
    drop: (key) => {
      free(copies.get(key));
      copies.delete(key);
    },
    release: async () => {
      for (const own of copies.values()) free(own);
      copies.clear();
      await (await opened)?.release();
    },
  };
}
