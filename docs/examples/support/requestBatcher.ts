/** @file Requests that arrive while the model computes are answered together, in one batch with an adapter for each row. */

import { OnnxLoraError, type RowAdapter, type Tensor } from '@onnx-lora/sdk';
import type { Prediction } from '@onnx-lora/sdk/tasks';

/** One request. */
export interface Row {
  /** The image without a batch dimension. */
  readonly image: Tensor;
  readonly adapter: RowAdapter;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly row: Row;
  readonly resolve: (answer: Prediction) => void;
  readonly reject: (reason: Error) => void;
}

/** Batches requests. */
export class RequestBatcher {
  readonly #run: (rows: readonly Row[]) => Promise<readonly Prediction[]>;
  readonly #maxRows: number;
  readonly #waiting: Waiting[] = [];
  #isRunning = false;

  /**
   * @param run answers a batch, one answer per row
   * @param maxRows rows of the largest batch
   */
  constructor(run: (rows: readonly Row[]) => Promise<readonly Prediction[]>, maxRows: number) {
    this.#run = run;
    this.#maxRows = maxRows;
  }

  /**
   * The answer to one request.
   *
   * @throws OnnxLoraError `CANCELLED` when nobody waits for it any more; what the run throws
   */
  ask(row: Row): Promise<Prediction> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ row, resolve, reject });
      if (!this.#isRunning) void this.#answerAll();
    });
  }

  async #answerAll(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) await this.#answer(this.#waiting.splice(0, this.#maxRows));
    this.#isRunning = false;
  }

  async #answer(batch: readonly Waiting[]): Promise<void> {
    const wanted = batch.filter(({ row, reject }) => {
      if (row.signal.aborted) reject(new OnnxLoraError('CANCELLED', 'Nobody waits for the answer any more.'));
      return !row.signal.aborted;
    });
    if (wanted.length === 0) return;
    try {
      const answers = await this.#run(wanted.map(({ row }) => row));
      wanted.forEach(({ resolve }, i) => resolve(answers[i]!));
    } catch (error) {
      // A fault of one row, such as an unreadable adapter, must not fail the others.
      if (wanted.length === 1) wanted[0]!.reject(error as Error);
      else for (const one of wanted) await this.#answer([one]);
    }
  }
}
