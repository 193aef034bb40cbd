/** @file The extension point for first values of adapters: what an initialiser is told, and what it gives. */

import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import type { Matrix } from '../../linalg/matrix.ts';
import type { Random } from '../../runtime/random.ts';
import type { Factor } from '../kinds/kind.ts';

/** The layer whose adapter gets its first values. The weight and the delta B·A are seen as matrices `[out, width]`. */
export interface InitSite {
  /** torch's module path. */
  readonly path: string;
  /** What kind of layer it is, as `ModuleInfo.kind` says it. */
  readonly kind: string;
  /** Rows of the delta: the layer's outputs. */
  readonly out: number;
  /** Numbers in a row of the delta: inputs, times the kernel's size in a convolution. */
  readonly width: number;
  /** Groups of a convolution; 1 for any other layer. */
  readonly groups: number;
  /** The rank. */
  readonly r: number;
  /** alpha / r, or alpha / √r: what B·A is multiplied with. */
  readonly scaling: number;
}

/** First values of both factors. */
export interface InitialFactors {
  /** `[r, width]` */
  readonly A: Matrix;
  /** `[out, r]` */
  readonly B: Matrix;
  /**
   * `subtract`: the layer goes on computing what the base computes, as scaling · B·A is taken out of the base's weight.
   * The base itself is never changed; the first values stay in the graph as a second pair that is subtracted.
   */
  readonly residual?: 'subtract';
}

/** What all initialisers have. */
interface NamedInitializer {
  /** PEFT's word, where PEFT has it. */
  readonly name: string;
  /**
   * What PEFT's config says of adapters of linear layers that started so. By default, for other layers, and wherever first
   * values are taken out of the base, `init_lora_weights` is `true`: whoever loads the adapter then leaves the base alone.
   */
  readonly saved?: Partial<Pick<AdapterConfig, 'initLoraWeights' | 'extra'>>;
  /** Factors that training leaves as they are. */
  readonly fixed?: readonly Factor[];
  /** Why a layer cannot be initialised so, as the end of a sentence that begins with the layer; or nothing. */
  refuses?(site: InitSite): string | undefined;
}

/** First values from random numbers alone. */
export interface RandomInitializer extends NamedInitializer {
  readonly needs: 'nothing';
  /** The first factors of one layer. */
  init(site: InitSite, random: Random): InitialFactors;
}

/** First values from the layer's weight, `[out, width]`. */
export interface WeightInitializer extends NamedInitializer {
  readonly needs: 'weight';
  /** The first factors of one layer. */
  init(site: InitSite, weight: Matrix, random: Random): InitialFactors;
}

/** First values from the gradient of the loss with respect to the weight, `[out, width]`, a mean over batches. */
export interface GradientInitializer extends NamedInitializer {
  readonly needs: 'gradient';
  /** The first factors of one layer. */
  init(site: InitSite, gradient: Matrix, random: Random): InitialFactors;
}

/** First values from what linear layers read in some batches of the task. */
export interface InputInitializer extends NamedInitializer {
  readonly needs: 'inputs';
  /** How often the batches may be gone through until all observers have settled. */
  readonly passes: number;
  /** Observes one value that layers read; `r` is the highest rank among these. */
  observe(request: { readonly width: number; readonly r: number; readonly random: Random }): InputObserver;
  /** Ranks by module path, where the initialiser shares them out anew; 0 leaves the layer without an adapter. */
  ranks?(layers: readonly ObservedLayer[]): ReadonlyMap<string, number>;
}

/** How an adapter gets its first values. */
export type Initializer = RandomInitializer | WeightInitializer | GradientInitializer | InputInitializer;

/** What is known of one batch of rows x that a layer reads; enough for covariances and principal components. */
export interface InputBatch {
  /** How many rows there are. */
  readonly rows: number;
  /** Σ x·xᵀ, `[width, width]` */
  readonly gram: Matrix;
  /** Σ x, `[width]` */
  readonly sum: Float64Array;
  /** The largest of all values. */
  readonly max: number;
}

/** Gathers what an initialiser wants to know of a layer's inputs. */
export interface InputObserver {
  /** Takes in the layer's inputs of one batch. */
  update(batch: InputBatch): void;
  /** Whether more batches would change nothing that matters. */
  readonly settled: boolean;
  /** First values of a layer that reads what was observed. @param weight `[out, width]` */
  factors(site: InitSite, weight: () => Matrix): InitialFactors;
  /** Share of the variance that each component explains, largest first; for sharing out ranks. */
  readonly explained?: readonly number[];
}

/** A layer after all batches. */
export interface ObservedLayer {
  /** torch's module path. */
  readonly path: string;
  /** The rank that is asked for. */
  readonly r: number;
  /** What has seen the layer's inputs. */
  readonly observer: InputObserver;
}

/** The usual reason to refuse: more components are wanted than the weight has. */
export function refuseRankAbove(site: InitSite, components: number): string | undefined {
  const most = Math.min(site.out, site.width);
  if (site.groups > 1) return `is a grouped convolution, whose weight is no matrix of outputs and inputs`;
  return components > most
    ? `has a weight [${site.out}, ${site.width}], which has ${most} components, not ${components}`
    : undefined;
}
