/** @file ONNX Runtime's library: the only file that imports onnxruntime-node. On a page, `browser/engine.ts` takes its place. */

import * as ort from 'onnxruntime-node';
import { createRequire } from 'node:module';
import path from 'node:path';

export { ort };

/** Providers of onnxruntime-node's build for this platform. */
export function builtProviders(): readonly string[] {
  return ort.listSupportedBackends().map(({ name }) => name);
}

/** Version of onnxruntime-node. */
export function ortVersion(): string {
  return ort.env.versions.node ?? ort.env.versions.common;
}

/** The resolved path of onnxruntime-node. */
export function ortFile(): string {
  return createRequire(import.meta.url).resolve('onnxruntime-node');
}

/** Path of the library that holds CUDA's provider, which an install script downloads. */
export function cudaLibrary(): string {
  const name = process.platform === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so';
  return path.join(path.dirname(ortFile()), '..', 'bin', 'napi-v6', process.platform, process.arch, name);
}
