/** @file Per-kind rules of adapted layers: shapes, names, graph fragment, initial values. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { Site } from '../../match/sites.ts';
import type { Random } from '../../runtime/random.ts';
import { transposed } from '../../runtime/layout.ts';
import type { Tensor } from '../../runtime/tensor.ts';

/** One of the two factors of a low-rank delta. */
export type Factor = 'lora_A' | 'lora_B';

/** A layer's weight and delta B·A as a matrix with a row per output. */
export interface WeightMatrix {
  readonly out: number;
  /** Length of a row of the delta B·A. */
  readonly width: number;
  /** Whether the graph's weight stores rows contiguously, or as columns. */
  readonly layout: 'out-in' | 'in-out';
  /** Groups of inputs and outputs. A grouped weight's row has `width / groups` inputs; the delta's row spans all. */
  readonly groups: number;
}

/** A module's factors, flat, in PEFT's layout. */
export interface FactorValues {
  /** `[r, in, ...kernel]` */
  readonly A: Float32Array;
  /** `[out, r / groups, ...]` */
  readonly B: Float32Array;
  /** The rank. */
  readonly r: number;
  /** Factor of B·A. */
  readonly scaling: number;
}

/** The rules of one kind of layer, listed in `lora/kinds/table.ts`. */
export interface LayerKind {
  /** PEFT's names of the factors in a file. */
  readonly names: Readonly<{ lora_A: 'lora_A' | 'lora_embedding_A'; lora_B: 'lora_B' | 'lora_embedding_B' }>;
  /** Whether each row of a batch may use its own adapter. */
  readonly perRow: boolean;
  /** The smallest rank that the runtime can compute, used for the zero factors of a disabled adapter. */
  leastRank(site: Site): number;
  matrix(site: Site): WeightMatrix;
  /** Shape of a factor in PEFT. */
  factorShape(site: Site, factor: Factor, r: number): readonly number[];
  /** The rank of an adapter with this A in PEFT's shape. */
  rankOf(site: Site, A: readonly number[]): number;
  /** Shape of a factor in the graph. */
  graphShape(site: Site, factor: Factor, r: number): readonly number[];
  /** A factor from PEFT's layout to the graph's, copied. */
  toGraph(site: Site, factor: Factor, values: Float32Array, r: number): Float32Array;
  /** A factor from the graph's layout to PEFT's, copied. */
  fromGraph(site: Site, factor: Factor, values: Float32Array, r: number): Float32Array;
  /** Shape of one number per output, as DoRA's magnitude is stored; it broadcasts against the layer's output. */
  perOutputShape(site: Site): readonly number[];
  /** Why the layer cannot have such an adapter, worded to follow the layer's name; undefined if it can. */
  refuses(
    site: Site,
    adapter: { readonly r: number; readonly dora: boolean; readonly bias: boolean },
  ): string | undefined;
  /** The low-rank product for input x, which is added to the output. A and B in the graph's layout. */
  product(g: GraphBuilder, site: Site, x: Value, A: Value, B: Value): Value;
  /** The product of x with a whole weight in torch's layout; only of kinds that tuners can adapt. */
  whole?(g: GraphBuilder, site: Site, x: Value, weight: Value): Value;
  /** ‖W + B·A‖ per output, in the shape of {@link LayerKind.perOutputShape}. */
  adaptedNorm(g: GraphBuilder, site: Site, weight: Value, A: Value, B: Value): Value;
  /** The layer's own bias, shaped to be added to the output. */
  outputBias(g: GraphBuilder, site: Site, bias: Value): Value;
  /** PEFT's initial values of a factor, `size` of them, if not those of {@link firstValues}. */
  initial?(site: Site, factor: Factor, size: number, random: Random): Float32Array;
  /** The graph's weight plus the delta s·B·A, for kinds that rows per output do not describe. */
  addDelta?(site: Site, weight: Float32Array, factors: FactorValues): Float32Array;
}

/** PEFT's initial values of a factor: A is Kaiming uniform with a = √5, in ±1/√width; B is zero. */
export function firstValues(kind: LayerKind, site: Site, factor: Factor, size: number, random: Random): Float32Array {
  if (kind.initial) return kind.initial(site, factor, size, random);
  const bound = 1 / Math.sqrt(kind.matrix(site).width);
  const values = new Float32Array(size);
  return factor === 'lora_A' ? values.map(() => random.uniform(-bound, bound)) : values;
}

/** A factor as a tensor for the graph. */
export function graphFactor(kind: LayerKind, site: Site, factor: Factor, values: Float32Array, r: number): Tensor {
  return { type: 'float32', dims: kind.graphShape(site, factor, r), data: kind.toGraph(site, factor, values, r) };
}

type FactorLayout = Pick<LayerKind, 'factorShape' | 'graphShape' | 'toGraph' | 'fromGraph' | 'rankOf'>;

/** Factors that the graph takes transposed: A as `[in, r]`, B as `[r, out]`. */
export const transposedFactors = (shape: LayerKind['factorShape']): FactorLayout => ({
  factorShape: shape,
  rankOf: (_, [r]) => r ?? 0,
  graphShape: (site, factor, r) => shape(site, factor, r).toReversed(),
  toGraph: (site, factor, values, r) => transposedTo(values, shape(site, factor, r)),
  fromGraph: (site, factor, values, r) => transposedTo(values, shape(site, factor, r).toReversed()),
});

/** Factors that the graph takes as PEFT stores them. */
export const plainFactors = (shape: LayerKind['factorShape']): FactorLayout => ({
  factorShape: shape,
  rankOf: (_, [r]) => r ?? 0,
  graphShape: shape,
  toGraph: (_, __, values) => values.slice(),
  fromGraph: (_, __, values) => values.slice(),
});

function transposedTo(values: Float32Array, [rows, columns]: readonly number[]): Float32Array {
  return transposed(values, rows!, columns!);
}
