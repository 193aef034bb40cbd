/** @file Measures the adapter as it is on held-out data, again and again during a run. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { AdapterSession } from '../../adapter/serving/session.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { PreparedTask } from '../../plugin/preparedTask.ts';
import { type RunnableModel, rowsPerRun } from '../../plugin/taskModel.ts';
import type { SessionOptions } from '../../runtime/session.ts';
import type { Model } from '../loaded/model.ts';
import type { BadSamplePolicy } from './batchQueue.ts';
import { measure, type MeasuredOnce } from './measure.ts';

/** What an evaluator works with. */
export interface EvaluatorRequest {
  readonly model: Model;
  readonly data: PreparedTask;
  readonly batchSize: number;
  readonly session: SessionOptions;
  /** What becomes of a held-out example that cannot be loaded; `fail` by default. */
  readonly onBadSample?: BadSamplePolicy;
}

/** Keeps one session for a whole run: loading the model takes longer than a small evaluation. */
export class Evaluator {
  readonly #request: EvaluatorRequest;
  /** What is run, which gives no more than metrics read. */
  readonly #model: RunnableModel;
  #session: AdapterSession | undefined;

  constructor(request: EvaluatorRequest) {
    const { model, data } = request;
    this.#request = request;
    this.#model = data.narrowed?.model(model) ?? model;
  }

  /** Loads the model, with places for adapters such as this one, which takes a while. */
  async prepare(adapter: Adapter): Promise<void> {
    await this.#sessionWith(adapter);
  }

  /**
   * The metrics with this adapter; undefined when `isStopped` came true meanwhile.
   *
   * @param leftOut called for an example that cannot be loaded, where such are left out
   * @throws OnnxLoraError what the dataset throws; `DATA_INVALID` when none of the examples can be loaded
   */
  async evaluate(
    adapter: Adapter,
    isStopped: () => boolean,
    leftOut: (example: number, error: unknown) => void,
  ): Promise<MeasuredOnce | undefined> {
    const { data, batchSize, onBadSample } = this.#request;
    const session = await this.#sessionWith(adapter);
    const { narrowed } = data;
    const found = await measure({
      data,
      examples: data.validation!,
      batchSize: rowsPerRun(session, batchSize),
      run: (inputs) => session.run(inputs, { adapter: 'current' }),
      ...(narrowed && { batches: (batch) => narrowed.batches(batch, this.#model) }),
      ...(onBadSample === 'skip' ? { onBadSample: leftOut } : {}),
      isStopped,
    });
    if (found?.evaluation.examples !== 0) return found;
    throw new OnnxLoraError('DATA_INVALID', 'None of the held-out examples can be loaded. Look at their files.');
  }

  /** Frees the session. */
  async release(): Promise<void> {
    await this.#session?.release();
    this.#session = undefined;
  }

  async #sessionWith(adapter: Adapter): Promise<AdapterSession> {
    if (this.#session) {
      await this.#session.replace('current', adapter, { allowBaseMismatch: true });
      return this.#session;
    }
    // The training graph's session holds a copy of the weights; this one reads them from the file.
    const options = { ...this.#request.session, prepack: false, allowBaseMismatch: true };
    // Of a model that is made from one of the SDK's, too.
    this.#session = (await this.#model.session({ ...options, adapters: { current: adapter } })) as AdapterSession;
    return this.#session;
  }
}
