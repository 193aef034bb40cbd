/** @file Measures the adapter as it is on held-out data, again and again during a run. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { AdapterSession } from '../../adapter/serving/session.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { PreparedTask } from '../../plugin/preparedTask.ts';
import type { SessionOptions } from '../../runtime/session.ts';
import type { Model } from '../model.ts';
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
  #session: AdapterSession | undefined;

  constructor(request: EvaluatorRequest) {
    this.#request = request;
  }

  /** Loads the model, with places for adapters such as this one, which takes a while. */
  async prepare(adapter: Adapter): Promise<void> {
    await this.#sessionWith(this.#request.model, adapter);
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
    const { model, data, batchSize, onBadSample } = this.#request;
    const session = await this.#sessionWith(model, adapter);
    const found = await measure({
      data,
      examples: data.validation!,
      batchSize,
      run: (inputs) => session.run(inputs, { adapter: 'current' }),
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

  async #sessionWith(model: Model, adapter: Adapter): Promise<AdapterSession> {
    if (this.#session) {
      await this.#session.replace('current', adapter, { allowBaseMismatch: true });
      return this.#session;
    }
    // The training graph's session holds a copy of the weights; this one reads them from the file.
    const options = { ...this.#request.session, prepack: false, allowBaseMismatch: true };
    this.#session = await model.session({ ...options, adapters: { current: adapter } });
    return this.#session;
  }
}
