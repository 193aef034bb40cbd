/** @file Combines the deltas s·B·A of one module: weighted sums, or pruned and merged. */

import { matmul, type Matrix, matrix, sliceRows } from '../../linalg/matrix.ts';
import { approximated, concatenated, innerProduct, type Product, truncated } from './lowRank.ts';
import type { CombineMethod } from './options.ts';
import { type MergeSettings, mergeTensors } from './prune.ts';
import type { LayerShape, ModuleFactors } from './sources.ts';

/** Beyond this cosine, interpolation is linear. */
const STRAIGHT = 0.9995;

/**
 * Slerp's factors of two deltas: sin((1−t)·θ) / sin θ and sin(t·θ) / sin θ, θ being the angle between them as vectors;
 * `1 − t` and `t` if θ or π − θ is small, or a delta is zero.
 * @see Shoemake, Animating rotation with quaternion curves, 1985, §3.3; per tensor, as in merging tools
 * @param first, second the scaled deltas, a product per group of a layer
 */
function slerpFactors(first: readonly Product[], second: readonly Product[], t: number): [number, number] {
  const inner = (a: readonly Product[], b: readonly Product[]): number =>
    a.reduce((sum, each, g) => sum + innerProduct(each, b[g]!), 0);
  const lengths = Math.sqrt(inner(first, first) * inner(second, second));
  const cosine = lengths > 0 ? inner(first, second) / lengths : 1;
  if (Math.abs(cosine) > STRAIGHT) return [1 - t, t];
  const angle = Math.acos(cosine);
  return [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
}

/** One adapter's factors of the module. */
export interface Term {
  readonly factors: ModuleFactors;
  readonly weight: number;
}

/** The module's combined adapter, with scaling 1. */
export interface Combined {
  /** `[r, width]` */
  readonly A: Matrix;
  /** `[out, r / groups]` */
  readonly B: Matrix;
  /** `[out]` */
  readonly bias?: Float64Array;
}

/** Settings for one module. */
export interface DeltaSettings extends MergeSettings {
  readonly method: CombineMethod;
  readonly rank: number | 'full';
  /** The second adapter's share, for slerp. */
  readonly share: number;
}

/** Combines one module. Adapters without the module count as a zero delta and may be omitted. */
export function combineDeltas(shape: LayerShape, terms: readonly Term[], settings: DeltaSettings): Combined {
  const { rank, prune, exact } = settings;
  const scaled = terms.map(({ factors }) => groupsOf(shape, factors));
  const weights = settings.method === 'slerp' ? slerpWeights(terms, scaled, settings.share) : weightsOf(terms);
  const bias = combinedBias(terms, weights, shape, settings);
  // The rank counts all groups together.
  const perGroup = rank === 'full' ? Number.POSITIVE_INFINITY : Math.ceil(rank / shape.groups);
  let products: Product[];
  if (prune === 'none') {
    const sums = range(shape.groups).map((g) =>
      concatenated(scaled.map((groups, i) => ({ ...groups[g]!, factor: weights[i]! }))),
    );
    // No decomposition if nothing would be truncated.
    products =
      exact || sums[0]!.A.rows <= Math.min(perGroup, sums[0]!.B.rows, sums[0]!.A.columns)
        ? sums
        : sums.map((sum) => truncated(sum, perGroup));
  } else {
    const expected = scaled.reduce((sum, groups) => sum + groups[0]!.A.rows, 0);
    const merged = mergeTensors(
      scaled.map((groups) => stacked(groups.map(({ B, A }) => matmul(B, A))).data),
      weights,
      settings,
    );
    products = rowsByGroup(matrix(shape.out, scaled[0]![0]!.A.columns, merged), shape.groups).map((dense) =>
      approximated(dense, perGroup, expected),
    );
  }
  return { A: stacked(products.map(({ A }) => A)), B: stacked(products.map(({ B }) => B)), ...(bias ? { bias } : {}) };
}

function weightsOf(terms: readonly Term[]): number[] {
  return terms.map(({ weight }) => weight);
}

/** With a zero delta no angle is defined: interpolation is linear. */
function slerpWeights(terms: readonly Term[], scaled: readonly (readonly Product[])[], share: number): number[] {
  const [first, second] = scaled;
  return first && second ? slerpFactors(first, second, share) : weightsOf(terms);
}

/** The scaled product of each group: its rows of B and of A. */
function groupsOf({ groups }: LayerShape, { A, B, scaling }: ModuleFactors): Product[] {
  const rows = rowsByGroup(A, groups);
  return rowsByGroup(B, groups).map((own, g) => ({
    B: own,
    A: { ...rows[g]!, data: rows[g]!.data.map((value) => scaling * value) },
  }));
}

function rowsByGroup(whole: Matrix, groups: number): Matrix[] {
  const rows = whole.rows / groups;
  return groups === 1 ? [whole] : range(groups).map((g) => sliceRows(whole, g * rows, (g + 1) * rows));
}

function stacked(blocks: readonly Matrix[]): Matrix {
  const [first] = blocks as [Matrix, ...Matrix[]];
  if (blocks.length === 1) return first;
  const result = matrix(first.rows * blocks.length, first.columns);
  blocks.forEach(({ data }, i) => result.data.set(data, i * data.length));
  return result;
}

/** The bias of B, part of the delta that depends on no input. */
function combinedBias(
  terms: readonly Term[],
  weights: readonly number[],
  { out }: LayerShape,
  settings: MergeSettings,
): Float64Array | undefined {
  if (!terms.some(({ factors }) => factors.bias)) return undefined;
  const biases = terms.map(({ factors: { bias, scaling } }) =>
    bias ? bias.map((value) => scaling * value) : new Float64Array(out),
  );
  return mergeTensors(biases, weights, settings);
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
