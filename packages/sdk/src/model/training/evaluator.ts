/** @file Evaluates the current adapter on held-out data during a run. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { AdapterSession } from '../../adapter/serving/session.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { PreparedTask } from '../../plugin/preparedTask.ts';
import { type RunnableModel, rowsPerRun } from '../../plugin/taskModel.ts';
import type { SessionOptions } from '../../runtime/session.ts';
import type { Model } from '../loaded/model.ts';
import type { BadSamplePolicy } from './batchQueue.ts';
import { measure, type Measured } from './measure.ts';

/** Arguments of an evaluator. */
export interface EvaluatorRequest {
  readonly model: Model;
  readonly data: PreparedTask;
  readonly batchSize: number;
  readonly session: SessionOptions;
  readonly onBadSample?: BadSamplePolicy;
}

/** Keeps one session for the whole run: loading the model takes longer than a small evaluation. */
export class Evaluator {
  readonly #request: EvaluatorRequest;
  readonly #model: RunnableModel;
  #session: AdapterSession | undefined;

  constructor(request: EvaluatorRequest) {
    const { model, data } = request;
    this.#request = request;
    this.#model = data.narrowed?.model(model) ?? model;
  }

  /** Loads the model with slots for adapters like this one. */
  async prepare(adapter: Adapter): Promise<void> {
    await this.#sessionWith(adapter);
  }

  /**
   * The metrics with this adapter; undefined if `isStopped` returned true meanwhile.
   * @param leftOut called per example that cannot be loaded, with `skip`
   * @throws OnnxLoraError from the dataset; `DATA_INVALID` if no example can be loaded
   */
  async evaluate(
    adapter: Adapter,
    isStopped: () => boolean,
    leftOut: (example: number, error: unknown) => void,
  ): Promise<Measured | undefined> {
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

  async release(): Promise<void> {
    await this.#session?.release();
    this.#session = undefined;
  }

  async #sessionWith(adapter: Adapter): Promise<AdapterSession> {
    if (this.#session) {
      await this.#session.replace('current', adapter, { allowBaseMismatch: true });
      return this.#session;
    }
    // Without prepacking, this session reads the weights from the file; the training session already holds a copy.
    const options = { ...this.#request.session, prepack: false, allowBaseMismatch: true };
    // Models derived from the SDK's have the SDK's sessions.
    this.#session = (await this.#model.session({ ...options, adapters: { current: adapter } })) as AdapterSession;
    return this.#session;
  }
}
