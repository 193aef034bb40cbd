/** @file What computing loss and gradients takes, and what it says of its memory. */

import type { ModelProto } from '../../graph/proto.ts';
import type { AdapterInput, AdapterPlan } from '../../lora/methods/tuning.ts';
import type { BasePrecision } from '../../ops/precision/precision.ts';
import type { Runtime, SessionOptions } from '../../runtime/session.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import type { DrawMask } from '../dropout.ts';
import type { pieceRows } from './microBatch.ts';
import type { ParameterSet } from '../parameters.ts';
import type { PrefixOptions } from '../prefix/prefixOptions.ts';
import type { Memory } from '../forward/index.ts';
import type { LossFragment, LossScaling } from '../graph/addLoss.ts';
import type { InnerFragment } from '../graph/inside.ts';

/** What gradients are computed of. */
export interface GradientStepRequest {
  /** The graph without adapters. */
  readonly base: ModelProto;
  /** What is trained. */
  readonly plan: AdapterPlan;
  /** The loss, as a graph fragment. */
  readonly loss: LossFragment;
  /** What is read in place of values inside the graph, by their names. */
  readonly inside?: Readonly<Record<string, InnerFragment>>;
  /** In what the base computes; float32 by default. */
  readonly precision?: BasePrecision | undefined;
  /** Where graphs run. */
  readonly runtime: Runtime;
  /** How they are loaded. */
  readonly session?: SessionOptions;
  /**
   * How much a batch's loss counts when the loss of a larger batch is the mean over its pieces. With it a large batch is
   * computed in pieces; without it always at once.
   */
  readonly lossWeight?: (targets: Feeds) => number;
  /** How many graphs have the loss of one batch together, as `LossRequest.shares`; 1 by default. */
  readonly shares?: number;
  /** How many parts of a batch a graph has; 1 by default. */
  readonly parts?: number;
  /** Gives what the loss compares and no gradients; false by default. */
  readonly featuresOnly?: boolean;
  /** How many rows a piece has; `pieceRows` by default. */
  readonly pieceRows?: typeof pieceRows;
  /** Bytes that forward values may take while they wait for their gradients; `auto` by default. */
  readonly memory?: Memory;
  /** Gives the parameters their first values, once the graph's inputs are known. */
  readonly parameters: (inputs: readonly AdapterInput[]) => ParameterSet;
  /** What dropout is drawn from; 0 by default. */
  readonly seed?: number;
  /** What dropout leaves out, in place of random numbers. */
  readonly drawMask?: DrawMask;
  /** Whether gradients are scaled; false by default, and of a base in precision `float16` wherever others would be. */
  readonly lossScale?: LossScaling;
  /**
   * Runs what lies below the lowest trained layer once for each example. Only for data whose examples never change: the same
   * number of an example must mean the same row of inputs in every batch of the same shape.
   */
  readonly prefix?: PrefixOptions;
  /** What the model is called, for messages. */
  readonly name: string;
}

/** What a step was to need, for an error that says what to lower. */
export interface MemoryPlan {
  /** Examples of a batch. */
  readonly batchRows: number;
  /** Examples that are computed at once. */
  readonly rows: number;
  /** Bytes of the forward values of those. */
  readonly forwardBytes: number;
  /** Bytes of the frozen weights. */
  readonly weightBytes: number;
}
