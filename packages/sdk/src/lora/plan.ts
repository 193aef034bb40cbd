/** @file What an adapter changes in a graph: which sites get low-rank products, which parameters are trained in full. */

import type { NodeProto, TensorProto } from '../graph/proto.ts';
import type { Site, WeightLayout } from '../match/sites.ts';

/** A site with a low-rank adapter. */
export interface LowRankSite {
  readonly site: Site;
  /** The rank, where the graph is built for one adapter; undefined where each run brings its own. */
  readonly r?: number;
  /** Weight-decomposed (DoRA): outputs are rescaled by a trained magnitude. */
  readonly dora: boolean;
  /** Whether the low-rank product has a bias of its own (PEFT's `lora_bias`). */
  readonly bias?: boolean;
}

/** A parameter that is replaced as a whole (`modules_to_save`, trained biases). */
export interface TrainedParameter {
  /** torch's name of the parameter, such as `classifier.weight`. */
  readonly name: string;
  readonly modulePath: string;
  /** PEFT's name of the tensor, where it is not the parameter's own: the bias of an adapted layer has `base_layer` in it. */
  readonly savedAs?: string;
  readonly initializer: string;
  readonly layout: WeightLayout;
  readonly tensor: TensorProto;
  /** The module's own nodes: they read the trained parameter, while other readers of a shared one keep the base's. */
  readonly readers: readonly NodeProto[];
  /** The layer that it belongs to, where that can be adapted. */
  readonly site?: Site;
}

/** Everything that is injected into one graph. */
export interface AdapterPlan {
  readonly lowRank: readonly LowRankSite[];
  readonly trained: readonly TrainedParameter[];
}

/** What an injected graph input carries. */
export type AdapterInputRole =
  'lora_A' | 'lora_B' | 'lora_B.bias' | 'lora_magnitude_vector' | 'lora_gain' | 'parameter';

/**
 * A graph input through which an adapter enters.
 *
 * - `lora_A` `[in, r]` and `lora_B` `[r, out]` are transposed from PEFT's layout; those of convolutions are as PEFT has
 *   them. lora_B is fed times the scaling, so the graph knows no scaling, and changing it needs no new graph.
 * - `lora_B.bias` `[out]` is fed times the scaling too.
 * - `lora_magnitude_vector` `[out]` is DoRA's magnitude, while training; `[1, out, 1, ...]` of a convolution.
 * - `lora_gain`, of the same shape, is magnitude ÷ norm, computed once per adapter for inference.
 * - `parameter` is a whole weight or bias: in the graph's own layout while training, a linear weight as `[in, out]` for
 *   inference.
 */
export interface AdapterInput {
  readonly name: string;
  readonly role: AdapterInputRole;
  readonly lowRank?: LowRankSite;
  readonly parameter?: TrainedParameter;
  /** Whether each row of a batch may bring its own. */
  readonly perRow: boolean;
}
