/** @file What LoRA needs to know of a layer. */

import type { Site } from '../../match/sites.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import type { Factor } from '../kinds/kind.ts';

/**
 * What dropout leaves out together: single numbers (`element`), a feature of an example in all of its places (`column`), or a
 * place with all of its features, such as a token (`row`).
 *
 * @see https://arxiv.org/abs/2403.00812
 */
export type DropoutPattern = 'element' | 'column' | 'row';

/** First values of one module's factors, flat, in PEFT's layout. */
export interface FirstValues {
  /** `[r, in]`, row by row. */
  readonly lora_A: Float32Array;
  /** `[out, r]`, row by row. */
  readonly lora_B: Float32Array;
  /** Whether the layer starts at what the base computes, as the factors are taken out of it. */
  readonly isResidual: boolean;
}

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
  /** What is left out together; `element` without. */
  readonly dropoutPattern?: DropoutPattern;
  /** The module's name in PEFT's files, where wrappers are nested: `attn.base_layer.out_proj`. */
  readonly savedAs?: string;
  /**
   * Ids whose rows of an embedding are trained (PEFT's `trainable_token_indices`): the low-rank delta then has a fixed A
   * that picks these rows, and B holds what is added to them.
   */
  readonly tokens?: readonly number[];
  /** Whether the adapter is of PEFT's type for such rows alone, whose file calls them otherwise. */
  readonly onlyTokens?: boolean;
  /**
   * A second pair of factors beside the trained one, as constants: first values that are taken out again, so that the
   * layer starts at what the base computes. In the graph's layout, lora_B times minus the scaling.
   */
  readonly constants?: FactorTensors;
  /** Factors that are not trained, in the graph's layout, lora_B times the scaling. */
  readonly fixed?: Partial<FactorTensors>;
  /** Tensors that training leaves as they begin, by their roles: they enter the graph, and get no gradients. */
  readonly left?: readonly string[];
  /**
   * The embedding's adapter that this one is the transpose of, since their weights are one: lora_A is the other's lora_B,
   * and lora_B its lora_A. Their gradients are apart, and an optimizer steps both, as in PEFT; of trained rows it is one.
   */
  readonly tiedTo?: LowRankSite;
}

/** Values of both factors. */
export type FactorTensors = Readonly<Record<Factor, Tensor>>;

/** What PEFT calls the `out_proj` inside a MultiheadAttention that it has wrapped. */
const MERGED_TWICE = '.base_layer.out_proj';

/**
 * The module's path of a MultiheadAttention whose `out_proj` the name in PEFT's files means; undefined for any other. PEFT
 * merges the delta of such a layer twice, in training as in inference, and differentiates one of the two.
 */
export function attentionAround(savedAs: string | undefined): string | undefined {
  return savedAs?.endsWith(MERGED_TWICE) ? savedAs.slice(0, -MERGED_TWICE.length) : undefined;
}
