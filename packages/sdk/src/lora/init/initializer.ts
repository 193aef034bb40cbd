/** @file The contract of initialisers. */

import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import type { Matrix } from '../../linalg/matrix.ts';
import type { Random } from '../../runtime/random.ts';
import type { Factor } from '../kinds/kind.ts';

/** A layer to initialise. Weight and delta B·A are matrices `[out, width]`. */
export interface InitSite {
  /** torch's module path. */
  readonly path: string;
  /** Kind of layer, as in `ModuleInfo.kind`. */
  readonly kind: string;
  /** Rows of the delta: the layer's outputs. */
  readonly out: number;
  /** Columns of the delta: inputs, times the kernel size of a convolution. */
  readonly width: number;
  /** Groups of a convolution; 1 for other layers. */
  readonly groups: number;
  /** The rank. */
  readonly r: number;
  /** Factor of B·A: alpha / r, or alpha / √r. */
  readonly scaling: number;
}

/** Initial factors. */
export interface InitialFactors {
  /** `[r, width]` */
  readonly A: Matrix;
  /** `[out, r]` */
  readonly B: Matrix;
  /** `subtract`: the graph subtracts the initial scaling · B·A, so that the layer starts at the base's output. */
  readonly residual?: 'subtract';
}

/** Common part of all initialisers. */
interface NamedInitializer {
  /** PEFT's name, if PEFT has it. */
  readonly name: string;
  /** PEFT's config values for linear layers; others, and those with a residual, save `init_lora_weights: true`. */
  readonly saved?: Partial<Pick<AdapterConfig, 'initLoraWeights' | 'extra'>>;
  /** Frozen factors. */
  readonly fixed?: readonly Factor[];
  /** Why a layer cannot be initialised, worded to follow the layer's name; undefined if it can. */
  refuses?(site: InitSite): string | undefined;
}

/** Initial factors from random numbers alone. */
export interface RandomInitializer extends NamedInitializer {
  readonly needs: 'nothing';
  /** Initial factors of a layer. */
  init(site: InitSite, random: Random): InitialFactors;
}

/** Initial factors from the layer's weight, `[out, width]`. */
export interface WeightInitializer extends NamedInitializer {
  readonly needs: 'weight';
  /** Initial factors of a layer. */
  init(site: InitSite, weight: Matrix, random: Random): InitialFactors;
}

/** Initial factors from the weight's gradient, `[out, width]`, averaged over batches. */
export interface GradientInitializer extends NamedInitializer {
  readonly needs: 'gradient';
  /** Initial factors of a layer. */
  init(site: InitSite, gradient: Matrix, random: Random): InitialFactors;
}

/** Initial factors from linear layers' inputs in some batches of the task. */
export interface InputInitializer extends NamedInitializer {
  readonly needs: 'inputs';
  /** Maximum passes over the batches until all observers settle. */
  readonly passes: number;
  /** Observes an input shared by layers; `r` is their highest rank. */
  observe(request: { readonly width: number; readonly r: number; readonly random: Random }): InputObserver;
  /** Redistributed ranks by module path; 0 leaves the layer without an adapter. */
  ranks?(layers: readonly ObservedLayer[]): ReadonlyMap<string, number>;
}

/** Computes an adapter's initial factors. */
export type Initializer = RandomInitializer | WeightInitializer | GradientInitializer | InputInitializer;

/** Statistics of a batch of input rows x, enough for covariances and principal components. */
export interface InputBatch {
  /** Number of rows. */
  readonly rows: number;
  /** Σ x·xᵀ, `[width, width]` */
  readonly gram: Matrix;
  /** Σ x, `[width]` */
  readonly sum: Float64Array;
  /** The largest of all values. */
  readonly max: number;
}

/** Accumulates statistics of an input. */
export interface InputObserver {
  /** Adds a batch. */
  update(batch: InputBatch): void;
  /** Whether further batches would not matter. */
  readonly settled: boolean;
  /** Initial factors of a layer with this input. @param weight `[out, width]` */
  factors(site: InitSite, weight: () => Matrix): InitialFactors;
  /** Explained variance ratio of each component, largest first, for redistributing ranks. */
  readonly explained?: readonly number[];
}

/** A layer after all batches. */
export interface ObservedLayer {
  /** torch's module path. */
  readonly path: string;
  /** The requested rank. */
  readonly r: number;
  /** Observer of the layer's input. */
  readonly observer: InputObserver;
}

/** Refuses grouped convolutions and more components than the weight has. */
export function refuseRankAbove(site: InitSite, components: number): string | undefined {
  const most = Math.min(site.out, site.width);
  if (site.groups > 1) return `is a grouped convolution, whose weight is no matrix of outputs and inputs`;
  return components > most
    ? `has a weight [${site.out}, ${site.width}], which has ${most} components, not ${components}`
    : undefined;
}
