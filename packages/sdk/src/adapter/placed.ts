/** @file An adapter's tensors by their places in a graph. */

import type { LowRankSite, TrainedParameter, TunedSite } from '../lora/plan.ts';
import type { Tensor } from '../runtime/tensor.ts';
import type { Adapter } from './adapter.ts';

/** The tensors of one module that make its low-rank adapter, as PEFT lays them out. */
export interface LowRankTensors {
  /** The layer, and how it is adapted. */
  readonly lowRank: LowRankSite;
  /** `[r, in]`, `[r, in, ...kernel]` of a convolution, `[r, vocabulary]` of an embedding. */
  readonly A: Tensor;
  /** `[out, r]`, `[out, r / groups, 1, ...]` of a convolution, `[dim, r]` of an embedding. */
  readonly B: Tensor;
  /** DoRA's magnitude: `[out]`, `[1, out, 1, ...]` of a convolution, `[dim]` of an embedding. */
  readonly magnitude?: Tensor;
  /** The bias of B (`lora_bias`), `[out]`. */
  readonly bias?: Tensor;
  /** What B·A and the bias are multiplied with. */
  readonly scaling: number;
  /** The adapter's tensors that it was made from. */
  readonly names: readonly string[];
}

/** The tensors of one module that another tuner adapts. */
export interface TunedTensors {
  /** The layer, and what the tuner makes of it. */
  readonly tuned: TunedSite;
  /** Tensors by the words that follow the module's path in PEFT's file. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** An adapter's tensors by their places. */
export interface PlacedAdapter {
  /** The adapter. */
  readonly adapter: Adapter;
  /** Its factors, by layer. */
  readonly lowRank: readonly LowRankTensors[];
  /** Its parameters that replace the base's as a whole. */
  readonly trained: readonly { readonly parameter: TrainedParameter; readonly tensor: Tensor }[];
  /** Its tensors of another tuner, by layer. */
  readonly tuned: readonly TunedTensors[];
  /** Tensors that the graph has no place for: modules that it does not hold, and copies of the base. */
  readonly unused: readonly string[];
}
