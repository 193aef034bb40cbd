/** @file What a kind of layer has of its own when it is adapted: shapes, names, the fragment beside it, first values. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { Site } from '../../match/sites.ts';
import type { Random } from '../../runtime/random.ts';
import { transposed } from '../../runtime/layout.ts';
import type { Tensor } from '../../runtime/tensor.ts';

/** One of the two factors of a low-rank delta. */
export type Factor = 'lora_A' | 'lora_B';

/** A layer's weight, and the delta B·A, seen as a matrix with a row per output. */
export interface WeightMatrix {
  /** How many outputs there are. */
  readonly out: number;
  /** Length of a row of the delta B·A. */
  readonly width: number;
  /** Where the graph's weight holds its rows: one after the other, or as columns. */
  readonly layout: 'out-in' | 'in-out';
  /**
   * In how many groups outputs and inputs are split. A grouped weight holds of each row only the inputs of the output's
   * own group, `width / groups` values, while the delta's rows reach all inputs.
   */
  readonly groups: number;
}

/** The factors of one module as numbers, flat, in PEFT's layout. */
export interface FactorValues {
  /** `[r, in, ...kernel]` */
  readonly A: Float32Array;
  /** `[out, r / groups, ...]` */
  readonly B: Float32Array;
  /** The rank. */
  readonly r: number;
  /** What B·A is multiplied with. */
  readonly scaling: number;
}

/** The rules of one kind of layer; `lora/kinds/table.ts` has them all. */
export interface LayerKind {
  /** PEFT's names of the factors in a file. */
  readonly names: Readonly<{ lora_A: 'lora_A' | 'lora_embedding_A'; lora_B: 'lora_B' | 'lora_embedding_B' }>;
  /** Whether each row of a batch may bring an adapter of its own. */
  readonly perRow: boolean;
  /** The smallest rank that the runtime computes: of what rank the zeros are that switch an adapter off. */
  leastRank(site: Site): number;
  matrix(site: Site): WeightMatrix;
  /** Shape of a factor as PEFT stores it. */
  factorShape(site: Site, factor: Factor, r: number): readonly number[];
  /** The rank of an adapter with this A, as PEFT stores it. */
  rankOf(site: Site, A: readonly number[]): number;
  /** Shape of a factor as the graph takes it. */
  graphShape(site: Site, factor: Factor, r: number): readonly number[];
  /** A factor from PEFT's layout in the graph's, copied. */
  toGraph(site: Site, factor: Factor, values: Float32Array, r: number): Float32Array;
  /** A factor from the graph's layout in PEFT's, copied. */
  fromGraph(site: Site, factor: Factor, values: Float32Array, r: number): Float32Array;
  /** Shape of one number per output, as DoRA's magnitude is stored; it broadcasts against the layer's output. */
  perOutputShape(site: Site): readonly number[];
  /** Why the layer cannot have such an adapter, as the end of a sentence that begins with the layer; or nothing. */
  refuses(
    site: Site,
    adapter: { readonly r: number; readonly dora: boolean; readonly bias: boolean },
  ): string | undefined;
  /** The low-rank product of the layer's input x: what is added to its output. A and B as the graph takes them. */
  product(g: GraphBuilder, site: Site, x: Value, A: Value, B: Value): Value;
  /** The product of x with a whole weight as torch lays it out; of kinds that tuners can adapt. */
  whole?(g: GraphBuilder, site: Site, x: Value, weight: Value): Value;
  /** ‖W + B·A‖ per output, in the shape of {@link LayerKind.perOutputShape}. */
  adaptedNorm(g: GraphBuilder, site: Site, weight: Value, A: Value, B: Value): Value;
  /** The layer's own bias, an input of its node, as what is added to the output. */
  outputBias(g: GraphBuilder, site: Site, bias: Value): Value;
  /** PEFT's first values of a factor, `size` of them, where they are others than {@link firstValues}. */
  initial?(site: Site, factor: Factor, size: number, random: Random): Float32Array;
  /** Where rows per output do not describe it: the weight in the graph's layout plus the delta s·B·A. */
  addDelta?(site: Site, weight: Float32Array, factors: FactorValues): Float32Array;
}

/** PEFT's first values of a factor, `size` of them: A is Kaiming's with a = √5, uniform in ±1/√width, and B zero. */
export function firstValues(kind: LayerKind, site: Site, factor: Factor, size: number, random: Random): Float32Array {
  if (kind.initial) return kind.initial(site, factor, size, random);
  const bound = 1 / Math.sqrt(kind.matrix(site).width);
  const values = new Float32Array(size);
  return factor === 'lora_A' ? values.map(() => random.uniform(-bound, bound)) : values;
}

/** A factor for the graph. */
export function graphFactor(kind: LayerKind, site: Site, factor: Factor, values: Float32Array, r: number): Tensor {
  return { type: 'float32', dims: kind.graphShape(site, factor, r), data: kind.toGraph(site, factor, values, r) };
}

/** Factors that the graph takes transposed: A as `[in, r]`, B as `[r, out]`. */
export const transposedFactors: (
  shape: LayerKind['factorShape'],
) => Pick<LayerKind, 'factorShape' | 'graphShape' | 'toGraph' | 'fromGraph' | 'rankOf'> = (shape) => ({
  factorShape: shape,
  rankOf: (_, [r]) => r ?? 0,
  graphShape: (site, factor, r) => shape(site, factor, r).toReversed(),
  toGraph: (site, factor, values, r) => transposedTo(values, shape(site, factor, r)),
  fromGraph: (site, factor, values, r) => transposedTo(values, shape(site, factor, r).toReversed()),
});

/** Factors that the graph takes as PEFT stores them. */
export const plainFactors: (
  shape: LayerKind['factorShape'],
) => Pick<LayerKind, 'factorShape' | 'graphShape' | 'toGraph' | 'fromGraph' | 'rankOf'> = (shape) => ({
  factorShape: shape,
  rankOf: (_, [r]) => r ?? 0,
  graphShape: shape,
  toGraph: (_, __, values) => values.slice(),
  fromGraph: (_, __, values) => values.slice(),
});

function transposedTo(values: Float32Array, [rows, columns]: readonly number[]): Float32Array {
  return transposed(values, rows!, columns!);
}
