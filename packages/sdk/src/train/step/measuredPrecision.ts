/** @file A precision for a model and data, as it was measured. */

import type { ProductPrecision } from '../../ops/precision/precision.ts';

/** A product and its error. */
export interface MeasuredProduct {
  /** Its name in the precision: `backward head.weight`. */
  readonly name: string;
  /** Its module, or its weight if no module is known. */
  readonly module: string;
  /** Euclidean norm of the error relative to the product's; infinite on overflow. */
  readonly error: number;
}

/** A precision for this model and data. */
export interface MeasuredPrecision {
  /** The precision, with the products that stay in float32. */
  readonly precision: ProductPrecision;
  /** Products that can use it, in graph order. */
  readonly products: readonly MeasuredProduct[];
  /** Least cosine of a tensor's gradient with that of float32; 1 if all products stay in float32. */
  readonly cosine: number;
  /** Relative error of the loss. */
  readonly lossError: number;
  /** Products in float32 not for their own errors, but for gradients and loss. */
  readonly forGradients: readonly string[];
  /** A loss scale without gradient overflow; only for `float16`. */
  readonly lossScale?: number | undefined;
}
