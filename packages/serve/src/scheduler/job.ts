/** @file The scheduler's contract: jobs, batches, answers. */

/** A request to schedule. */
export interface Job<Work = unknown> {
  /** Work, opaque to the scheduler. */
  readonly work: Work;
  /**
   * Requests with equal keys can share a batch: same session and outputs, and same shapes apart from rows and, where
   * the session pads, length.
   */
  readonly key: string;
  /** Requests of one kind take similar time per position, which is measured; the key by default. */
  readonly like?: string;
  /** Rows in a batch. */
  readonly rows: number;
  /** Positions per row, such as tokens; similar lengths share a batch. 0 if all rows are alike. */
  readonly length: number;
  /** Bytes held while queued; 0 by default. */
  readonly bytes?: number;
  /** The adapter's key; null for the base. */
  readonly adapter: string | null;
  /** The tenant; tenants share time fairly. */
  readonly tenant: string;
  /** Priority within the tenant, from 0 to 9, higher first, without starvation. */
  readonly priority: number;
  /** Deadline by the scheduler's clock, in milliseconds. */
  readonly deadline?: number;
  /** Aborted when the client disconnects. */
  readonly signal?: AbortSignal;
}

/**
 * Computes a batch: an answer per job, in order; an `Error` fails only its job. If it throws, the batch is retried in
 * halves, so that no request fails for another's fault. The signal is aborted when nobody waits for any answer.
 */
export type Compute<Work, Answer> = (
  batch: readonly Job<Work>[],
  signal: AbortSignal,
) => Promise<readonly (Answer | Error)[]>;

/** Batches requests. */
export interface Scheduler<Work, Answer> {
  /**
   * Submits a request.
   * @throws OnnxLoraError an `OverloadedError` for a full queue; `CANCELLED` for an aborted signal or passed deadline,
   *   the latter caused by a `TimeoutError`
   */
  submit(job: Job<Work>): Promise<Answer>;
  /**
   * Stops accepting requests, and waits for running ones.
   * @param signal cancels what has no answer by then with `CANCELLED`
   */
  drain(signal?: AbortSignal): Promise<void>;
}
