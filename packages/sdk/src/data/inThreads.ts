/** @file Prepares examples in worker threads, to keep the training loop's thread free. */

import { fileURLToPath } from 'node:url';
import { Tinypool } from 'tinypool';
import { availableParallelism } from '../platform/system.ts';
import { OnnxLoraError } from '../errors.ts';
import type { Dataset } from '../plugin/dataset.ts';

/** The function that threads run. */
export interface ThreadOptions {
  /** The module's `file:` URL, `new URL('./prepare.js', import.meta.url)`: plain JavaScript, loaded by each thread. */
  readonly module: URL;
  /** Name of the exported function, which takes one value and may be asynchronous. */
  readonly name: string;
  /** Largest number of threads; by default two, or one on machines with fewer than three cores. */
  readonly threads?: number;
}

const IDLE_MS = 30_000;

/** Runs a function in threads that start on demand and do not keep the process alive. Values are copied: plain data. */
export class ThreadPool<In, Out> implements AsyncDisposable {
  readonly #pool: Tinypool;

  /** @throws OnnxLoraError `CONFIG_INVALID` for an invalid number of threads */
  constructor({ module, name, threads = availableParallelism() < 3 ? 1 : 2 }: ThreadOptions) {
    if (!Number.isInteger(threads) || threads < 1) {
      throw new OnnxLoraError('CONFIG_INVALID', `threads must be a whole number of at least 1, but it is ${threads}.`);
    }
    this.#pool = new Tinypool({
      filename: fileURLToPath(module),
      name,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: IDLE_MS,
      // Loaders and flags of the main thread do not apply to plain JavaScript.
      execArgv: [],
      // Their objects are few and short-lived; V8 would keep up to 48 MB for them.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
  }

  /** The function's result for a value. Rejects with the message of its error. */
  async run(value: In): Promise<Out> {
    return (await this.#pool.run(value)) as Out;
  }

  /** Ends the threads. */
  async release(): Promise<void> {
    await this.#pool.destroy();
  }

  /** As {@link ThreadPool.release}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** A dataset whose examples are prepared in worker threads. */
export interface ThreadedDataset<Example> extends Dataset<Example>, AsyncDisposable {
  /** Ends the threads. */
  release(): Promise<void>;
  /** As {@link ThreadedDataset.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Maps a dataset's examples by a function in worker threads ({@link ThreadPool}), so that heavy JavaScript, such as
 * resampling or augmentation, does not block the training or the process.
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
