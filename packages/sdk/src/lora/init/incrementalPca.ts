/** @file Incremental PCA over batches of rows, in constant memory. */

import { svd } from '../../linalg/decompositions.ts';
import { type Matrix, matrix } from '../../linalg/matrix.ts';
import { randomSvd } from '../../linalg/randomSvd.ts';
import type { Random } from '../../runtime/random.ts';
import type { InputBatch } from './initializer.ts';

/** Options of {@link IncrementalPca}. */
export interface IncrementalPcaOptions {
  readonly width: number;
  /** Number of components, at most `width`. */
  readonly components: number;
  /** Least cosine between a settled component before and after a batch. */
  readonly tau: number;
  readonly random: Random;
}

/** Above this width only the first components are computed, as PEFT always does: all would take too long. */
const WIDE = 64;

/** Incremental PCA (Ross et al. 2008): SVD of each centred batch together with the components so far. */
export class IncrementalPca {
  readonly #options: IncrementalPcaOptions;
  #components: Matrix;
  #values: Float64Array = new Float64Array(0);
  #rows = 0;
  #mean: Float64Array;
  /** Σ |x|² over all rows. */
  #squares = 0;
  #settled = false;

  constructor(options: IncrementalPcaOptions) {
    this.#options = options;
    this.#components = matrix(options.width, 0);
    this.#mean = new Float64Array(options.width);
  }

  /** Components as columns, `[width, components]`, by falling singular value. */
  get components(): Matrix {
    return this.#components;
  }

  /** Singular values of the centred rows, `[components]`. */
  get singularValues(): Float64Array {
    return this.#values;
  }

  /** Explained variance ratio of each component. */
  get explained(): readonly number[] {
    const total = this.#squares - this.#rows * sumOfSquares(this.#mean);
    return Array.from(this.#values, (value) => (total > 0 ? (value * value) / total : 0));
  }

  /** Whether all components changed less than tau in the last batch. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Adds a batch; a batch with fewer rows than components is skipped. */
  update({ gram, sum, rows }: InputBatch): void {
    const { width, components: count } = this.#options;
    if (rows < count) return;
    const scatter = matrix(width, width, gram.data.slice());
    const batchMean = sum.map((value) => value / rows);
    addOuter(scatter, batchMean, -rows);
    const all = this.#rows + rows;
    for (let j = 0; j < this.#values.length; j++) addOuter(scatter, column(this.#components, j), this.#values[j]! ** 2);
    // Correction for the distance between the batch's mean and the mean so far.
    const shift = batchMean.map((value, i) => this.#mean[i]! - value);
    addOuter(scatter, shift, (this.#rows / all) * rows);

    const before = this.#components;
    const { S, V } = this.#decompose(scatter, count);
    this.#components = V;
    this.#values = S.map((value) => Math.sqrt(Math.max(0, value)));
    this.#mean = batchMean.map((value, i) => (this.#mean[i]! * this.#rows + value * rows) / all);
    for (let i = 0; i < width; i++) this.#squares += gram.data[i * width + i]!;
    this.#rows = all;
    this.#settled =
      before.columns === count && cosines(before, V).every((cosine) => Math.abs(cosine) >= this.#options.tau);
  }

  /** First eigenvectors of a positive semi-definite matrix, by its SVD. */
  #decompose(scatter: Matrix, count: number): { readonly S: Float64Array; readonly V: Matrix } {
    const { width, random } = this.#options;
    if (width > WIDE) return randomSvd(scatter, { rank: count, width: 2 * count, iterations: 2, random });
    const { S, V } = svd(scatter);
    const first = matrix(width, count);
    for (let i = 0; i < width; i++) first.data.set(V.data.subarray(i * width, i * width + count), i * count);
    return { S: S.slice(0, count), V: first };
  }
}

/** Adds `factor · v·vᵀ`. */
function addOuter({ columns, data }: Matrix, v: Float64Array, factor: number): void {
  if (factor === 0) return;
  for (let i = 0; i < v.length; i++) {
    const left = factor * v[i]!;
    for (let j = 0; j < v.length; j++) data[i * columns + j]! += left * v[j]!;
  }
}

function column({ rows, columns, data }: Matrix, j: number): Float64Array {
  return Float64Array.from({ length: rows }, (_, i) => data[i * columns + j]!);
}

/** Cosines between corresponding columns of length 1. */
function cosines(a: Matrix, b: Matrix): number[] {
  const result = Array.from({ length: a.columns }, () => 0);
  for (let i = 0; i < a.data.length; i++) result[i % a.columns]! += a.data[i]! * b.data[i]!;
  return result;
}

function sumOfSquares(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}
