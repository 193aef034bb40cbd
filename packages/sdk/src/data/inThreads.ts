/** @file Prepares examples in worker threads, to keep the training loop's thread free. */

import { OnnxLoraError } from '../errors.ts';
import type { Dataset } from '../plugin/dataset.ts';
import { type ThreadOptions, ThreadPool } from './threadPool.ts';

/** A dataset whose examples are prepared in worker threads. */
export interface ThreadedDataset<Example> extends Dataset<Example>, AsyncDisposable {
  /** Ends the threads. */
  release(): Promise<void>;
  /** As {@link ThreadedDataset.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Maps a dataset's examples by a function in worker threads ({@link ThreadPool}), so that heavy JavaScript, such as
 * resampling or augmentation, does not block the training or the process. On a page, it runs in the page's worker.
 * @example
 * // prepare.js
 * export async function load(file) {
 *   const samples = await readSound(file);
 *   return { type: 'float32', dims: [samples.length], data: samples };
 * }
 * // task
 * const train = inThreads(files, { module: new URL('./prepare.js', import.meta.url), name: 'load' });
 */
export function inThreads<In, Out>(dataset: Dataset<In>, options: ThreadOptions): ThreadedDataset<Out> {
  const pool = new ThreadPool<In, Out>(options);
  return {
    length: dataset.length,
    async get(index, draw) {
      const example = await dataset.get(index, draw);
      try {
        return await pool.run(example);
      } catch (cause) {
        throw new OnnxLoraError(
          'DATA_INVALID',
          `Example ${dataset.nameOf?.(index) ?? index} cannot be prepared: ${cause instanceof Error ? cause.message : String(cause)}`,
          { cause },
        );
      }
    },
    ...(dataset.nameOf ? { nameOf: (index: number) => dataset.nameOf!(index) } : {}),
    release: () => pool.release(),
    [Symbol.asyncDispose]: () => pool.release(),
  };
}
