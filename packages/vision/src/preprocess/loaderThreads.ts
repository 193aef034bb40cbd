/** @file The threads that load images. On a page, `browser/loaderThreads.ts` takes this file's place. */

import { existsSync } from 'node:fs';
import { ThreadPool } from '@onnx-lora/sdk/data';
import type { LoadedPixels, ThreadRequest } from './imageThread.ts';

/** The compiled worker next to this file. */
const program = new URL('./imageThread.js', import.meta.url);

let shared: ThreadPool<ThreadRequest, LoadedPixels> | undefined;

/** Threads that all loaders share, since they take a moment to start; none if a bundler dropped the worker's file. */
export function loaderThreads(): ThreadPool<ThreadRequest, LoadedPixels> | undefined {
  if (!shared && existsSync(program)) shared = new ThreadPool({ module: program, name: 'load' });
  return shared;
}
