/** @file What an adapter changes in a graph: which sites get low-rank products, which parameters are trained in full. */

import type { NodeProto } from '../graph/proto.ts';
import type { Site, WeightLayout } from '../match/sites.ts';
import type { StoredWeight } from '../match/weights/index.ts';
import type { Tensor } from '../runtime/tensor.ts';
import type { Factor } from './kinds/kind.ts';
import type { Tuning } from './tuner.ts';

/** A site with a low-rank adapter. */
export interface LowRankSite {
  /** The layer. */
  readonly site: Site;
  /** The rank, where the graph is built for one adapter; undefined where each run brings its own. */
  readonly r?: number;
  /** Weight-decomposed (DoRA): outputs are rescaled by a trained magnitude. */
  readonly dora: boolean;
  /** Whether the low-rank product has a bias of its own (PEFT's `lora_bias`). */
  readonly bias?: boolean;
  /** The module's name in PEFT's files, where wrappers are nested: `attn.base_layer.out_proj`. */
  readonly savedAs?: string;
  /**
   * Ids whose rows of an embedding are trained (PEFT's `trainable_token_indices`): the low-rank delta then has a fixed A
   * that picks these rows, and B holds what is added to them.
   */
  readonly tokens?: readonly number[];
  /**
   * A second pair of factors beside the trained one, as constants: first values that are taken out again, so that the
   * layer starts at what the base computes. In the graph's layout, lora_B times minus the scaling.
   */
  readonly constants?: FactorTensors;
  /** Factors that are not trained, in the graph's layout, lora_B times the scaling. */
  readonly fixed?: Partial<FactorTensors>;
  /**
   * The embedding's adapter that this one is the transpose of, since their weights are one: lora_A is the other's lora_B,
   * and lora_B its lora_A. Their gradients are apart, and an optimizer steps both, as in PEFT; of trained rows it is one.
   */
  readonly tiedTo?: LowRankSite;
}

/** Values of both factors. */
export type FactorTensors = Readonly<Record<Factor, Tensor>>;

/** A parameter that is replaced as a whole (`modules_to_save`, trained biases). */
export interface TrainedParameter {
  /** torch's name of the parameter, such as `classifier.weight`. */
  readonly name: string;
  /** torch's path of the module that has the parameter. */
  readonly modulePath: string;
  /** PEFT's name of the tensor, where it is not the parameter's own: the bias of an adapted layer has `base_layer` in it. */
  readonly savedAs?: string;
  /** How its matrix lies in the graph, compared with torch. */
  readonly layout: WeightLayout;
  /** Its shape in torch, where the graph's has ones more than that. */
  readonly torchDims?: readonly number[];
  /** The base's values, and how the graph keeps them. */
  readonly stored: StoredWeight;
  /** The module's own nodes: they read the trained parameter, while other readers of a shared one keep the base's. */
  readonly readers: readonly ParameterReader[];
  /** The layer that it belongs to, where that can be adapted. */
  readonly site?: Site;
  /** Whether adapters may bring any number of outputs, as of a head for labels of their own. */
  readonly isOpen?: boolean;
  /** Whether the model has no values of its own for it, as of a head that an adapter attaches. */
  readonly isNew?: boolean;
}

/** A node that reads a parameter, and the name by which it does. */
export interface ParameterReader {
  /** The node. */
  readonly node: NodeProto;
  /** The name among the node's inputs. */
  readonly name: string;
  /** The nodes between the stored tensors and the name; those of the parameter's `stored` where left out. */
  readonly chain?: readonly NodeProto[];
}

/** A layer that another tuner than LoRA adapts. */
export interface TunedSite {
  /** The layer. */
  readonly site: Site;
  /** What the tuner makes of it. */
  readonly tuning: Tuning;
  /** `peft_type` of the tuner. */
  readonly peftType: string;
  /** The tuner and its settings as text: adapters of one session must agree in it where they adapt the same layer. */
  readonly form: string;
  /** The module's name in PEFT's file, where it is not the site's path. */
  readonly savedAs?: string;
}

/** Everything that is injected into one graph. */
export interface AdapterPlan {
  /** Layers that get a low-rank adapter. */
  readonly lowRank: readonly LowRankSite[];
  /** Parameters that are replaced as a whole. */
  readonly trained: readonly TrainedParameter[];
  /** Layers that a tuner of a plugin adapts; none of them has a low-rank adapter too. */
  readonly tuned: readonly TunedSite[];
}

/** What PEFT calls the `out_proj` inside a MultiheadAttention that it has wrapped. */
const MERGED_TWICE = '.base_layer.out_proj';

/**
 * The module's path of a MultiheadAttention whose `out_proj` the name in PEFT's files means; undefined for any other. PEFT
 * merges the delta of such a layer twice, in training as in inference, and differentiates one of the two.
 */
export function attentionAround(savedAs: string | undefined): string | undefined {
  return savedAs?.endsWith(MERGED_TWICE) ? savedAs.slice(0, -MERGED_TWICE.length) : undefined;
}

/** Where a site's module is computed: usually one place. */
export function placesOf(site: Site): readonly Site[] {
  return [site, ...site.alsoAt];
}

/** What an injected graph input carries. */
export type AdapterInputRole =
  'lora_A' | 'lora_B' | 'lora_B.bias' | 'lora_magnitude_vector' | 'lora_gain' | 'parameter' | 'tuned';

/**
 * A graph input through which an adapter enters. All are float32, whatever the model computes in.
 *
 * - `lora_A` `[in, r]` and `lora_B` `[r, out]` are transposed from PEFT's layout; those of convolutions are as PEFT has
 *   them. lora_B is fed times the scaling, so the graph knows no scaling, and changing it needs no new graph.
 * - `lora_B.bias` `[out]` is fed times the scaling too.
 * - `lora_magnitude_vector` `[out]` is DoRA's magnitude, while training; `[1, out, 1, ...]` of a convolution.
 * - `lora_gain`, of the same shape, is magnitude ÷ norm, computed once per adapter for inference.
 * - `parameter` is a whole weight or bias: in the graph's own layout while training, a linear weight as `[in, out]` for
 *   inference.
 * - `tuned` is a tensor of another tuner, as PEFT has it; the same for all rows of a batch.
 *
 * For inference, those that may differ between rows are banks of n adapters: matrices are stacked to `[n, in, r]`, what has
 * one number per output to `[n, 1, out]`.
 */
export interface AdapterInput {
  /** Name of the graph input. */
  readonly name: string;
  /** Which of the tensors above it is. */
  readonly role: AdapterInputRole;
  /** The layer that it adapts; absent for a `parameter`, and for `tuned`. */
  readonly lowRank?: LowRankSite;
  /** The parameter that it replaces; present only for a `parameter`. */
  readonly parameter?: TrainedParameter;
  /** The layer of another tuner, and which of its tensors it is; present only for `tuned`. */
  readonly tuned?: { readonly of: TunedSite; readonly tensor: string };
  /** Whether each row of a batch may get another: for inference, it is a bank then. */
  readonly perRow: boolean;
}
