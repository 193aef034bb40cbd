/** @file ONNX Runtime's library on a page: the only file that imports onnxruntime-web. */

import * as web from 'onnxruntime-web';
import { volume } from './files.ts';
import * as path from './path.ts';
import { readInto } from './volume.ts';

/** Options of a session, as for onnxruntime-node. */
interface Options {
  readonly executionProviders: readonly string[];
  readonly weights?: { readonly folder: string; readonly files: readonly string[] };
  readonly extra: Readonly<Record<string, string>>;
}

/** onnxruntime-web in the form of onnxruntime-node. */
export const ort: {
  readonly Tensor: typeof web.Tensor;
  readonly InferenceSession: { create(model: Uint8Array, options: Options): Promise<unknown> };
} = {
  Tensor: web.Tensor,
  InferenceSession: {
    create(model: Uint8Array, { executionProviders, weights, extra, ...options }: Options): Promise<unknown> {
      const { 'session.model_external_initializers_file_folder_path': _, ...settings } = extra;
      return web.InferenceSession.create(model, {
        ...options,
        executionProviders: executionProviders.map((name) => (name === 'cpu' ? 'wasm' : name)),
        extra: settings,
        externalData: (weights?.files ?? []).map((name) => ({ path: name, data: content(weights!.folder, name) })),
      });
    },
  },
};

/** The bytes of a file with weights; onnxruntime-web reads blobs itself. */
function content(folder: string, name: string): Uint8Array | Blob {
  const file = volume.file(path.join(folder, name));
  if (file.content instanceof Blob) return file.content;
  const bytes = new Uint8Array(file.size);
  readInto(bytes, file, 0);
  return bytes;
}

/** WebAssembly, named as the CPU, and WebGPU where the browser has it. */
export function builtProviders(): readonly string[] {
  return ['cpu', ...('gpu' in (globalThis as { navigator?: object }).navigator! ? ['webgpu'] : [])];
}

export function ortVersion(): string {
  return web.env.versions.web ?? web.env.versions.common;
}

export function ortFile(): string {
  return 'onnxruntime-web';
}

export function cudaLibrary(): string {
  return '/';
}
