/** @file Preprocesses images in other threads: resizing a large photo takes a tenth of a second of JavaScript. */

import { existsSync } from 'node:fs';
import { OnnxLoraError, type Preprocessor, type Tensor, ThreadPool } from '@onnx-lora/sdk';
import type { ImageRequest } from './imageThread.ts';
import { ImagePreprocessor } from './preprocessor.ts';
import { SharpDecoder } from '../image/sharpDecoder.ts';

/** The program of the threads, which lies beside this file once it is compiled. */
const program = new URL('./imageThread.js', import.meta.url);

/** One for all tasks: threads take a moment to start. */
let shared: ThreadPool<ImageRequest, Tensor> | undefined;

/**
 * The same preprocessor in other threads. In this thread it stays where that cannot be: where it decodes with something
 * other than sharp, which a thread does not know, and where a bundler has left the threads' program behind.
 */
export function inOtherThreads(preprocessor: Preprocessor): Preprocessor {
  if (!(preprocessor instanceof ImagePreprocessor) || !(preprocessor.decoder instanceof SharpDecoder)) {
    return preprocessor;
  }
  if (!existsSync(program)) return preprocessor;
  shared ??= new ThreadPool({ module: program, name: 'preprocess' });
  return new ThreadedPreprocessor(preprocessor, preprocessor.decoder, shared);
}

/** Sends files to threads, and takes tensors back. */
export class ThreadedPreprocessor implements Preprocessor {
  readonly #request: Omit<ImageRequest, 'file'>;
  readonly #pool: ThreadPool<ImageRequest, Tensor>;

  constructor({ plan }: ImagePreprocessor, { limits }: SharpDecoder, pool: ThreadPool<ImageRequest, Tensor>) {
    this.#request = { plan, limits };
    this.#pool = pool;
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming the file */
  async preprocess(file: string): Promise<Tensor> {
    try {
      return await this.#pool.run({ ...this.#request, file });
    } catch (cause) {
      // Of an error only the message comes through.
      throw new OnnxLoraError('DATA_INVALID', (cause as Error).message, { cause });
    }
  }
}
