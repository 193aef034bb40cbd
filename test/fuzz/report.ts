/** @file What a run of the fuzzer may take, and what it finds. */

/** Memory that one input may take: so much for each of its bytes, and a constant. */
export interface MemoryLimit {
  readonly perByte: number;
  readonly constant: number;
}

/** What an input may cost before it counts as an attack that succeeded. */
export interface Limits {
  /** Of the processor's time; a machine that is busy elsewhere does not count. */
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

/** What the thread that parses is told. */
export interface WorkOrder {
  readonly target: string;
  /** The repository. */
  readonly root: string;
  /** An empty folder of its own. */
  readonly folder: string;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  readonly limits: Limits;
  /** The number of the input that is being parsed; shared with the thread that watches. */
  readonly progress: Int32Array;
}

/** What the thread says when it is through. */
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

/** Of one target: what the whole run found. */
export interface TargetReport extends WorkReport {
  readonly target: string;
  readonly seconds: number;
  readonly failures: readonly Failure[];
}
