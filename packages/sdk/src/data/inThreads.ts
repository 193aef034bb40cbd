/** @file Prepares examples in other threads, so that the thread of the training loop stays free. */

import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Tinypool } from 'tinypool';
import { OnnxLoraError } from '../errors.ts';
import type { Dataset } from '../plugin/dataset.ts';

/** What runs in the threads. */
export interface ThreadOptions {
  /** The module, as a `file:` URL: `new URL('./prepare.js', import.meta.url)`. Plain JavaScript, since each thread loads it. */
  readonly module: URL;
  /** Which of its exports is called: a function of one value, which may be asynchronous. */
  readonly name: string;
  /** At most so many threads; by default two, or one where the machine has fewer than three cores. */
  readonly threads?: number;
}

/** Threads that have nothing to do end after this time. */
const IDLE_MS = 30_000;

/**
 * Calls a function of a module in other threads. Threads start when there is something to do, and do not keep the process
 * alive. What goes there and comes back is copied, and must be data: tensors, typed arrays, plain objects.
 */
export class ThreadPool<In, Out> implements AsyncDisposable {
  readonly #pool: Tinypool;

  /** @throws OnnxLoraError `CONFIG_INVALID` for a number of threads that there cannot be */
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
      // Loaders and flags of the main thread are not for a module that is plain JavaScript.
      execArgv: [],
    });
  }

  /** What the function makes of a value. Rejects with the message of what it throws. */
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

/** A dataset whose examples are prepared in other threads. */
export interface ThreadedDataset<Example> extends Dataset<Example>, AsyncDisposable {
  /** Ends the threads. */
  release(): Promise<void>;
  /** As {@link ThreadedDataset.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A dataset of what a function makes of another dataset's examples, in other threads ({@link ThreadPool}): heavy
 * JavaScript, such as resampling or augmentation, then neither holds up the training nor the rest of the process.
 *
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
