/** @file Limits and results of a run of the fuzzer. */

/** Memory that one input may take: so much for each of its bytes, and a constant. */
export interface MemoryLimit {
  readonly perByte: number;
  readonly constant: number;
}

/** Largest cost of an input; beyond it, the attack counts as successful. */
export interface Limits {
  /** CPU seconds; a busy machine does not count. */
  readonly seconds: number;
  /** Typed arrays, and arrays and strings made by their length: all that code asks for by a number. */
  readonly allocated: MemoryLimit;
  /** Growth of the heap with its buffers, rubbish included. */
  readonly heap: MemoryLimit;
}

/** The limits of every run. */
export const limits: Limits = {
  seconds: 2,
  allocated: { perByte: 16, constant: 1 << 20 },
  heap: { perByte: 256, constant: 1 << 25 },
};

/** Work for the parsing thread. */
export interface WorkOrder {
  readonly target: string;
  /** The repository. */
  readonly root: string;
  /** An empty folder for this target. */
  readonly folder: string;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  readonly limits: Limits;
  /** Number of the current input; shared with the watching thread. */
  readonly progress: Int32Array;
}

/** Report of the parsing thread at its end. */
export interface WorkReport {
  accepted: number;
  refused: number;
  /** Bytes of arrays per byte of input, at most. */
  mostAllocated: number;
  /** Bytes of heap per byte of input, at most. */
  mostHeap: number;
  /** Refusals by the code of the error. */
  codes: Record<string, number>;
}

/** An input that broke a promise. */
export interface Failure {
  readonly index: number;
  readonly reason: string;
}

/** Results of the whole run for one target. */
export interface TargetReport extends WorkReport {
  readonly target: string;
  readonly seconds: number;
  readonly failures: readonly Failure[];
}
