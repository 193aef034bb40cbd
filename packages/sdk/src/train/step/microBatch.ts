/** @file Computes a batch in pieces, so that what a step keeps for its gradients stays small. */

import type { NodeProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import type { BasePrecision } from '../../ops/precision/precision.ts';
import { type Feeds, sizeOf, type Tensor, type TensorData } from '../../runtime/tensor.ts';

/** One piece of a batch. */
export interface Piece {
  /** What the model is fed. */
  readonly inputs: Feeds;
  /** What its outputs are held against. */
  readonly targets: Feeds;
}

/** Rows of a batch: the first dimension that all feeds share; undefined where they differ. */
export function rowsOf(inputs: Feeds, targets: Feeds): number | undefined {
  const counts = new Set([...Object.values(inputs), ...Object.values(targets)].map(({ dims }) => dims[0]));
  const [rows] = counts;
  return counts.size === 1 ? rows : undefined;
}

/**
 * A batch cut into pieces of `rows` rows, which must divide it. Pieces share the batch's memory. Axis 0 of a feed holds an
 * equal part of each row.
 */
export function cut(inputs: Feeds, targets: Feeds, rows: number, total: number): Piece[] {
  const slices = (feeds: Feeds, from: number): Feeds =>
    Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, rowsFrom(tensor, from, rows, total)]));
  return Array.from({ length: total / rows }, (_, i) => ({
    inputs: slices(inputs, i * rows),
    targets: slices(targets, i * rows),
  }));
}

function rowsFrom({ type, dims, data }: Tensor, from: number, rows: number, total: number): Tensor {
  const stride = data.length / total;
  return {
    type,
    dims: [(dims[0]! * rows) / total, ...dims.slice(1)],
    data: data.subarray(from * stride, (from + rows) * stride) as TensorData,
  };
}

/** The products with weights of one batch. */
export interface Products {
  /** Rows of those that most multiplications belong to. */
  readonly rows: number;
  /** Multiplications of numbers in all products together. */
  readonly multiplications: number;
  /** Multiplications of one product, of those that most multiplications belong to. */
  readonly each: number;
}

/** Products whose weights are not in float32. */
const ofPackedWeights: ReadonlySet<string> = new Set(['MatMulNBits', 'MatMulBnb4', 'MatMulIntegerToFloat']);

/** The sizes of one product with a matrix. */
export interface ProductSize {
  /** Of what is multiplied, without its features. */
  readonly rows: readonly number[];
  /** Numbers of the matrix. */
  readonly numbers: number;
}

/** The products of a graph with matrices: weights of any form, or what adapters and gradients have. */
export function productSizesOf(nodes: readonly NodeProto[], types: ReadonlyMap<string, ValueType>): ProductSize[] {
  return nodes.flatMap(({ opType = '', input = [], output = [] }) => {
    const [a, b, y] = [input[0], input[1], output[0]].map((name) => types.get(name ?? '')?.shape);
    const isPacked = ofPackedWeights.has(opType) && isStatic(y);
    if (!isPacked && opType !== 'MatMul' && opType !== 'Gemm') return [];
    const weight = isPacked ? [a?.at(-1) ?? 0, y.at(-1)!] : b;
    if (!isStatic(a) || !isStatic(weight) || weight.length !== 2) return [];
    return [{ rows: a.slice(0, -1), numbers: sizeOf(weight) }];
  });
}

/** What products are together. */
export function productsOf(sizes: readonly ProductSize[]): Products {
  let [multiplications, rows, each] = [0, 0, 0];
  for (const { rows: dims, numbers } of sizes) {
    const count = sizeOf(dims);
    multiplications += numbers * count;
    rows += numbers * count * count;
    each += (numbers * count) ** 2;
  }
  if (multiplications === 0) return { rows, multiplications, each };
  return { rows: rows / multiplications, multiplications, each: each / multiplications };
}

/** What a run of a piece must not fall short of, and the bytes of forward values that it should not exceed. */
interface PieceLimits extends Products {
  readonly bytes: number;
}

/**
 * Rows from which on a product of matrices uses the processor well, multiplications from which on the products of a run outweigh
 * what starting its operators takes, and bytes in which a step's tensors mostly stay in the processor's cache: measured on ViT-S
 * with two threads, pieces of 128 MiB make a step 4 % faster than the whole batch of 8, at a quarter of the memory. Several
 * threads wait for each other in each operator; a single one is as fast with much less: MiniLM and a small LLaMA take the same
 * time for a step down to an eighth of these. In integers, weights lie ready for products of few rows, and what a product takes is
 * less beside starting operators: a step of ViT-B takes 4 % less with pieces of one image than with two, one of ESM-2 35M with
 * one protein, and one of ViT-S 8 % more.
 */
const LIMITS: Readonly<Record<'one' | 'several' | 'integers', PieceLimits>> = {
  one: { bytes: 32 << 20, rows: 240, multiplications: 0.8e9, each: 0 },
  several: { bytes: 128 << 20, rows: 240, multiplications: 3.5e9, each: 0 },
  integers: { bytes: 64 << 20, rows: 160, multiplications: 3.5e9, each: 0.12e9 },
};

/**
 * How many rows a piece should have: the most, of those that divide the batch, whose forward values fit; but enough of them
 * for products to be fast, and for there to be enough of them. Measured with two threads: with half the rows that these ask
 * for, a step of ViT-B takes 18 % longer, and one of ESM-2 8M 20 %.
 *
 * @param total rows of the batch
 * @param forwardBytes bytes of the batch's forward values
 * @param session its threads, where they are set, and in what the base computes, where not in float32
 */
export function pieceRows(
  total: number,
  forwardBytes: number,
  products: Products,
  session: { readonly threads?: number | undefined; readonly precision?: BasePrecision | undefined } = {},
): number {
  const { threads, precision } = session;
  const limits = LIMITS[threads === 1 ? 'one' : precision?.name === 'int8' ? 'integers' : 'several'];
  const divisors = Array.from({ length: total }, (_, i) => total - i).filter((each) => total % each === 0);
  const names = ['rows', 'multiplications', 'each'] as const;
  const fast = divisors.filter((each) => names.every((name) => (products[name] * each) / total >= limits[name]));
  return fast.find((each) => (forwardBytes * each) / total <= limits.bytes) ?? fast.at(-1) ?? total;
}
