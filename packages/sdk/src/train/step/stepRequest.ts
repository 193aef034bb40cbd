/** @file The request of a gradient step, and its memory plan. */

import type { AdapterInput } from '../../lora/methods/moduleAdapter.ts';
import type { Runtime, Session, SessionOptions } from '../../runtime/session.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import type { DrawMask } from '../dropout.ts';
import type { TrainingGraphRequest } from '../graph/trainingGraph.ts';
import type { ParameterSet } from '../parameters.ts';
import type { PrefixOptions } from '../prefix/split.ts';
import type { pieceRows } from './microBatch.ts';

/** Request of a gradient step. `lossScale` counts as `always` in base precision `float16`. */
export interface GradientStepRequest extends Omit<
  TrainingGraphRequest,
  'inputs' | 'targets' | 'pieces' | 'prefix' | 'without'
> {
  /** The runtime. */
  readonly runtime: Runtime;
  /** Options of its sessions. */
  readonly session?: SessionOptions;
  /** A batch's weight in means of losses. With it, a large batch is computed in pieces; without it, always at once. */
  readonly lossWeight?: (targets: Feeds) => number;
  /** Chooses the rows of a piece; `pieceRows` by default. */
  readonly pieceRows?: typeof pieceRows;
  /** Creates the parameters once the graph's inputs are known. */
  readonly parameters: (inputs: readonly AdapterInput[]) => ParameterSet;
  /** Seed of dropout; 0 by default. */
  readonly seed?: number;
  /** Dropout masks to use instead of random ones. */
  readonly drawMask?: DrawMask;
  /** Runs layers below the lowest trained one once per example, whose inputs must not change between batches. */
  readonly prefix?: PrefixOptions;
  /** Name of the model in errors. */
  readonly name: string;
}

/** A compiled step. */
export interface CompiledStep {
  /** The execution provider that runs it. */
  readonly provider: Session['provider'];
  /** The trained parameters. */
  readonly parameters: ParameterSet;
}

/** Memory needs of a step, for errors that say what to lower. */
export interface MemoryPlan {
  /** Examples of a batch. */
  readonly batchRows: number;
  /** Examples computed at once. */
  readonly rows: number;
  /** Bytes of their forward values. */
  readonly forwardBytes: number;
  /** Bytes of the frozen weights. */
  readonly weightBytes: number;
}
