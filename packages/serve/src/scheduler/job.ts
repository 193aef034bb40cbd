/** @file What the scheduler is given, and what it gives batches to. */

/** One request of a client, as far as scheduling is concerned. */
export interface Job<Work = unknown> {
  /** What is to be computed, which the scheduler only hands on. */
  readonly work: Work;
  /**
   * Requests with equal keys can be rows of one batch: those for the same outputs of the same session, whose feeds have the same
   * shape but for the rows and, where the session pads, the length.
   */
  readonly key: string;
  /** Requests with equal ones take about as long by the position, which is measured; the key by default. */
  readonly like?: string;
  /** Rows of a batch that it takes. */
  readonly rows: number;
  /** Positions of a row, such as tokens; requests of about one length share a batch. 0 where all rows are alike. */
  readonly length: number;
  /** Bytes that it holds while it waits; 0 by default. */
  readonly bytes?: number;
  /** The adapter, as the session knows it; null for the base. */
  readonly adapter: string | null;
  /** Whose request it is: tenants take turns. */
  readonly tenant: string;
  /** Of a tenant's requests higher ones go first, from 0 to 9; none waits forever for that. */
  readonly priority: number;
  /** When nobody wants the answer any more, in the scheduler's clock (milliseconds). */
  readonly deadline?: number;
  /** Aborted when the client has gone. */
  readonly signal?: AbortSignal;
}

/**
 * Computes a batch: an answer for each job, in their order; one that is an `Error` fails its job alone. Where it throws, the
 * batch is computed again in halves, so that no request fails for what another brings. The signal is aborted when nobody waits
 * for any of the answers.
 */
export type Compute<Work, Answer> = (
  batch: readonly Job<Work>[],
  signal: AbortSignal,
) => Promise<readonly (Answer | Error)[]>;

/** Puts requests together in batches. */
export interface Scheduler<Work, Answer> {
  /**
   * Asks for an answer.
   *
   * @throws OnnxLoraError an `OverloadedError` where the queue is full; `CANCELLED` where the signal is aborted or the deadline
   *   passes, of which the latter has a `TimeoutError` for its cause
   */
  submit(job: Job<Work>): Promise<Answer>;
  /**
   * Takes no more, and resolves when all that was taken has its answer.
   *
   * @param signal ends it: what has no answer by then is refused with `CANCELLED`
   */
  drain(signal?: AbortSignal): Promise<void>;
}
