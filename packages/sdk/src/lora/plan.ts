/** @file What LoRA needs to know of a layer, and what is known of a parameter that is trained in full. */

import type { NodeProto } from '../graph/proto.ts';
import type { Site, WeightLayout } from '../match/sites.ts';
import type { StoredWeight } from '../match/weights/index.ts';
import type { Tensor } from '../runtime/tensor.ts';
import type { Factor } from './kinds/kind.ts';

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
  /** In training, the share of what the low-rank product reads that is left out at each step (PEFT's `lora_dropout`). */
  readonly dropout?: number;
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
