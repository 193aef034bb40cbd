/** @file Batches loaded ahead of the steps that consume them, in the sampler's order, with an exact position. */

import { OnnxLoraError } from '../../errors.ts';
import type { BadSample } from '../../plugin/events.ts';
import type { Batch } from '../../plugin/dataset.ts';
import type { PreparedTask } from '../../plugin/preparedTask.ts';
import type { SamplerState, ShuffledBatches } from '../../train/sampling/sampler.ts';

/** What happens to an example that cannot be loaded. */
export type BadSamplePolicy = 'fail' | 'skip';

/** A batch and what it was made of. */
export interface LoadedBatch extends Batch {
  /** The examples that it was drawn from. */
  readonly examples: readonly number[];
  /** The example in each row. */
  readonly rows: readonly number[];
  readonly bad: readonly BadSample[];
  /** The sampler's state after this batch was drawn: a run that goes on from it begins with the batch that follows. */
  readonly position: SamplerState;
  /** As many of its first examples as a batch of their own, loaded anew. */
  beginning(count: number): Promise<Batch>;
}

/** What a queue is made of. */
export interface BatchQueueRequest {
  readonly data: PreparedTask;
  readonly sampler: ShuffledBatches;
  /** How many batches load while one is consumed. */
  readonly ahead: number;
  /** How many batches there are to be; none is loaded beyond them. */
  readonly batches: number;
  readonly onBadSample: BadSamplePolicy;
}

/** Loads batches ahead. Which batch comes when depends on the sampler alone, never on how fast examples load. */
export class BatchQueue {
  readonly #request: BatchQueueRequest;
  readonly #waiting: Promise<LoadedBatch>[] = [];
  #left: number;

  constructor(request: BatchQueueRequest) {
    this.#request = request;
    this.#left = request.batches;
  }

  /**
   * The next batch.
   *
   * @throws OnnxLoraError what the dataset throws; `DATA_INVALID` when no example of the batch can be loaded
   */
  async next(): Promise<LoadedBatch> {
    const batch = await this.first();
    void this.#waiting.shift();
    return batch;
  }

  /** The batch that {@link BatchQueue.next} gives next, which stays where it is. */
  first(): Promise<LoadedBatch> {
    // The one asked for, and those that load while it is consumed.
    while (this.#waiting.length <= this.#request.ahead && this.#left > 0) this.#begin();
    const [batch] = this.#waiting;
    return batch ?? Promise.reject(new RangeError('The run has no further batch.'));
  }

  #begin(): void {
    this.#left--;
    const { sampler } = this.#request;
    const before = sampler.drawn;
    const examples = sampler.next().value;
    const position = sampler.state();
    const beginning = (count: number): Promise<Batch> => this.#load(examples.slice(0, count), before);
    const loading = this.#load(examples, before).then((batch) => ({ ...batch, position, beginning }));
    // A failure is told when the batch is asked for, not as an unhandled rejection before.
    loading.catch(() => undefined);
    this.#waiting.push(loading);
  }

  async #load(examples: readonly number[], before: number): Promise<Omit<LoadedBatch, 'position' | 'beginning'>> {
    const { data, onBadSample } = this.#request;
    // Asynchronous also where a dataset throws at once.
    const loading = examples.map(async (index, i) => data.train.get(index, before + i));
    if (onBadSample === 'fail') {
      const loaded = await Promise.all(loading);
      return { ...(await data.collate(loaded)), examples, rows: examples, bad: [] };
    }
    const results = await Promise.allSettled(loading);
    const good = results.flatMap((result, i) => (result.status === 'fulfilled' ? [{ value: result.value, i }] : []));
    const bad = results.flatMap((result, i): BadSample[] =>
      result.status === 'fulfilled' ? [] : [{ example: examples[i]!, message: messageOf(result.reason) }],
    );
    if (good.length === 0) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `None of the ${examples.length} examples of a batch can be loaded. The first: ${bad[0]!.message}`,
      );
    }
    // Others of the batch take their places, so that the batch has the size that the graph was built for.
    let next = 0;
    const filled = results.map((result, i) =>
      result.status === 'fulfilled' ? { value: result.value, i } : good[next++ % good.length]!,
    );
    const rows = filled.map(({ i }) => examples[i]!);
    const batch = await data.collate(filled.map(({ value }) => value));
    return { ...batch, examples, rows, bad };
  }
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
