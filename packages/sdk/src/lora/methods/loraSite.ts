/** @file A layer's low-rank adapter: {@link LowRankSite} and its initial values. */

import type { Site } from '../../match/sites.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import type { Factor } from '../kinds/kind.ts';

/** Values dropped together: numbers, a feature at all positions, or a position such as a token (arXiv 2403.00812). */
export type DropoutPattern = 'element' | 'column' | 'row';

/** Initial values of one module's factors, flat, in PEFT's layout. */
export interface FirstValues {
  /** `[r, in]`, row-major. */
  readonly lora_A: Float32Array;
  /** `[out, r]`, row-major. */
  readonly lora_B: Float32Array;
  /** Whether the factors are subtracted from the base, so that the layer starts at the base's output. */
  readonly isResidual: boolean;
}

/** A site with a low-rank adapter. */
export interface LowRankSite {
  /** The layer. */
  readonly site: Site;
  /** The rank of a graph for one adapter; undefined if each run feeds its own. */
  readonly r?: number;
  /** Weight-decomposed (DoRA): outputs are rescaled by a trained magnitude. */
  readonly dora: boolean;
  /** Whether the low-rank product has a bias (PEFT's `lora_bias`). */
  readonly bias?: boolean;
  /** Dropout on the input of the low-rank product in training (PEFT's `lora_dropout`). */
  readonly dropout?: number;
  /** Values dropped together; `element` by default. */
  readonly dropoutPattern?: DropoutPattern;
  /** The module's name in PEFT's files for nested wrappers: `attn.base_layer.out_proj`. */
  readonly savedAs?: string;
  /** Ids of trained rows (PEFT's `trainable_token_indices`): a fixed A picks the rows, and B is added to them. */
  readonly tokens?: readonly number[];
  /** Whether the adapter is PEFT's `TRAINABLE_TOKENS`, which names the tensor differently in files. */
  readonly onlyTokens?: boolean;
  /** A constant second pair that subtracts the initial factors; graph layout, lora_B times minus the scaling. */
  readonly constants?: FactorTensors;
  /** Factors that are constants, in the graph's layout, lora_B times the scaling. */
  readonly fixed?: Partial<FactorTensors>;
  /** Roles of frozen tensors: graph inputs without gradients. */
  readonly left?: readonly string[];
  /**
   * The embedding's adapter that this one transposes for a tied weight: lora_A is its lora_B and vice versa. Gradients
   * are separate, and an optimizer steps both, as in PEFT; trained rows have one.
   */
  readonly tiedTo?: LowRankSite;
}

/** Values of both factors. */
export type FactorTensors = Readonly<Record<Factor, Tensor>>;

/** PEFT's name of the `out_proj` inside a wrapped MultiheadAttention. */
const MERGED_TWICE = '.base_layer.out_proj';

/**
 * Path of the MultiheadAttention of such an `out_proj`, else undefined. PEFT merges its delta twice, in training as in
 * inference, and differentiates one of the two.
 */
export function attentionAround(savedAs: string | undefined): string | undefined {
  return savedAs?.endsWith(MERGED_TWICE) ? savedAs.slice(0, -MERGED_TWICE.length) : undefined;
}
