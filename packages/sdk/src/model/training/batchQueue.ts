/** @file Prefetches batches in the sampler's order, with exact positions for resuming. */

import { OnnxLoraError } from '../../errors.ts';
import type { BadSample } from '../../plugin/events.ts';
import type { Batch } from '../../plugin/dataset.ts';
import type { PreparedTask } from '../../plugin/preparedTask.ts';
import type { SamplerState, ShuffledBatches } from '../../train/sampling/sampler.ts';

/** On an example that cannot be loaded: `fail` or `skip`. */
export type BadSamplePolicy = 'fail' | 'skip';

/** A batch with its examples. */
export interface LoadedBatch extends Batch {
  readonly examples: readonly number[];
  /** The example in each row, which differs from the drawn one if that is bad. */
  readonly rows: readonly number[];
  readonly bad: readonly BadSample[];
  /** The sampler's state after drawing this batch, to resume from. */
  readonly position: SamplerState;
  /** Loads a smaller batch of its first examples again. */
  beginning(count: number): Promise<Batch>;
}

/** Arguments of a queue. */
export interface BatchQueueRequest {
  readonly data: PreparedTask;
  readonly sampler: ShuffledBatches;
  readonly ahead: number;
  readonly batches: number;
  readonly onBadSample: BadSamplePolicy;
  /** Whether to load a batch, counted from 0; others are drawn alone. By default all. */
  readonly loads?: ((batch: number) => boolean) | undefined;
}

/** Prefetches batches. Their order depends on the sampler alone, not on loading times. */
export class BatchQueue {
  readonly #request: BatchQueueRequest;
  readonly #waiting: Promise<LoadedBatch>[] = [];
  #left: number;
  #begun = 0;

  constructor(request: BatchQueueRequest) {
    this.#request = request;
    this.#left = request.batches;
  }

  /** The next batch. @throws OnnxLoraError from the dataset; `DATA_INVALID` if no example of the batch can be loaded */
  async next(): Promise<LoadedBatch> {
    const batch = await this.first();
    void this.#waiting.shift();
    return batch;
  }

  /** The batch that {@link BatchQueue.next} will return, without removing it. */
  first(): Promise<LoadedBatch> {
    while (this.#waiting.length <= this.#request.ahead && this.#left > 0) this.#begin();
    const [batch] = this.#waiting;
    return batch ?? Promise.reject(new RangeError('The run has no further batch.'));
  }

  #begin(): void {
    this.#left--;
    const { sampler, loads = () => true } = this.#request;
    const isLoaded = loads(this.#begun++);
    const before = sampler.drawn;
    const examples = sampler.next().value;
    const position = sampler.state();
    const beginning = (count: number): Promise<Batch> => this.#load(examples.slice(0, count), before);
    const nothing = { inputs: {}, targets: {}, examples, rows: examples, bad: [] };
    const loaded = isLoaded ? this.#load(examples, before) : Promise.resolve(nothing);
    const loading = loaded.then((batch) => ({ ...batch, position, beginning }));
    // Failures surface when the batch is requested, not as unhandled rejections.
    loading.catch(() => undefined);
    this.#waiting.push(loading);
  }

  async #load(examples: readonly number[], before: number): Promise<Omit<LoadedBatch, 'position' | 'beginning'>> {
    const { data, onBadSample } = this.#request;
    // Async, so that a synchronous throw of a dataset becomes a rejection.
    const loading = examples.map(async (index, i) => data.train.get(index, before + i));
    if (onBadSample === 'fail') {
      const loaded = await Promise.all(loading);
      return { ...(await data.collate(loaded)), examples, rows: examples, bad: [] };
    }
    const results = await Promise.allSettled(loading);
    const good = results.flatMap((result, i) => (result.status === 'fulfilled' ? [{ value: result.value, i }] : []));
    const bad = results.flatMap((result, i): BadSample[] => {
      if (result.status === 'fulfilled') return [];
      const reason: unknown = result.reason;
      return [{ example: examples[i]!, message: reason instanceof Error ? reason.message : String(reason) }];
    });
    if (good.length === 0) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `None of the ${examples.length} examples of a batch can be loaded. The first: ${bad[0]!.message}`,
      );
    }
    // Good examples fill the places of bad ones: the graph is built for this batch size.
    let next = 0;
    const filled = results.map((result, i) =>
      result.status === 'fulfilled' ? { value: result.value, i } : good[next++ % good.length]!,
    );
    const rows = filled.map(({ i }) => examples[i]!);
    const batch = await data.collate(filled.map(({ value }) => value));
    return { ...batch, examples, rows, bad };
  }
}
