/** @file The request of a gradient step, and its memory plan. */

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

/** Request of a gradient step. */
export interface GradientStepRequest {
  /** The model without adapters. */
  readonly base: ModelProto;
  /** The adapters' tunings. */
  readonly plan: AdapterPlan;
  /** The loss, as a graph fragment. */
  readonly loss: LossFragment;
  /** Replacements of values inside the graph, by name. */
  readonly inside?: Readonly<Record<string, InnerFragment>>;
  /** Precision of the base; float32 by default. */
  readonly precision?: BasePrecision | undefined;
  /** The runtime. */
  readonly runtime: Runtime;
  /** Options of its sessions. */
  readonly session?: SessionOptions;
  /** A batch's weight in means of losses. With it, a large batch is computed in pieces; without it, always at once. */
  readonly lossWeight?: (targets: Feeds) => number;
  /** Number of runs that share the loss of a batch, as `LossRequest.shares`; 1 by default. */
  readonly shares?: number;
  /** Number of parts of a batch in the graph; 1 by default. */
  readonly parts?: number;
  /** Whether to output the compared features and no gradients; false by default. */
  readonly featuresOnly?: boolean;
  /** Chooses the rows of a piece; `pieceRows` by default. */
  readonly pieceRows?: typeof pieceRows;
  /** Bytes that forward values kept for gradients may take; `auto` by default. */
  readonly memory?: Memory;
  /** Creates the parameters once the graph's inputs are known. */
  readonly parameters: (inputs: readonly AdapterInput[]) => ParameterSet;
  /** Seed of dropout; 0 by default. */
  readonly seed?: number;
  /** Dropout masks to use instead of random ones. */
  readonly drawMask?: DrawMask;
  /** Whether gradients are scaled; false by default. In base precision `float16` always if true. */
  readonly lossScale?: LossScaling;
  /** Runs layers below the lowest trained one once per example, whose inputs must not change between batches. */
  readonly prefix?: PrefixOptions;
  /** Name of the model in errors. */
  readonly name: string;
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
