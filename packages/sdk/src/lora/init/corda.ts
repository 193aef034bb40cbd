/** @file CorDA: the adapter takes over the weight's components that matter most, or least, for the layer's inputs. */

import { knownOptions } from '../../knownOptions.ts';
import { solvePositive, svd } from '../../linalg/decompositions.ts';
import { leadingSvd } from '../../linalg/leadingSvd.ts';
import { type Matrix, matmul, matrix, transpose } from '../../linalg/matrix.ts';
import type { Random } from '../../runtime/random.ts';
import {
  type InputBatch,
  type InputInitializer,
  type InputObserver,
  type InitialFactors,
  type InitSite,
  refuseRankAbove,
} from './initializer.ts';
import { splitComponents } from './fromWeight.ts';

/** Options of {@link corda}. */
export interface CordaOptions {
  /** `ipm` trains the components that matter most for the inputs, `kpm` those that matter least (keeps knowledge). */
  readonly method?: 'ipm' | 'kpm';
}

const requireKnown = knownOptions<CordaOptions>('corda', { method: true });

/**
 * CorDA: singular components of W·C, times C⁻¹, for C = mean over batches of XᵀX, each divided by its largest value.
 * @see https://arxiv.org/abs/2406.05223
 */
export function corda(options: CordaOptions = {}): InputInitializer {
  requireKnown(options);
  const { method = 'ipm' } = options;
  return {
    name: method === 'ipm' ? 'corda' : 'corda_kpm',
    needs: 'inputs',
    passes: 1,
    refuses: (site) => refuseRankAbove(site, site.r),
    observe: ({ width, random }) => new ScaledCovariance(width, method, random),
  };
}

/** Added to C's diagonal, as a share of its mean diagonal, to keep C invertible. */
const DAMPING = 0.01;

class ScaledCovariance implements InputObserver {
  readonly settled = false;
  readonly #sum: Matrix;
  readonly #method: 'ipm' | 'kpm';
  readonly #random: Random;
  #batches = 0;

  constructor(width: number, method: 'ipm' | 'kpm', random: Random) {
    this.#sum = matrix(width, width);
    this.#method = method;
    this.#random = random;
  }

  update({ gram, max }: InputBatch): void {
    const scale = max === 0 ? 1 : 1 / (max * max);
    for (let i = 0; i < gram.data.length; i++) this.#sum.data[i]! += scale * gram.data[i]!;
    this.#batches++;
  }

  factors({ r, scaling }: InitSite, weight: () => Matrix): InitialFactors {
    const covariance = this.#damped();
    const product = matmul(weight(), covariance);
    const components = this.#method === 'ipm' ? leadingSvd(product, r, this.#random) : svd(product);
    // The last r: of all components, or of the first r.
    const from = components.S.length - r;
    const { A, B } = splitComponents(components, from, from + r, scaling);
    return { A: transpose(solvePositive(covariance, transpose(A))), B, residual: 'subtract' };
  }

  #damped(): Matrix {
    const { rows, data } = this.#sum;
    const mean = data.map((value) => value / this.#batches);
    let trace = 0;
    for (let i = 0; i < rows; i++) trace += mean[i * rows + i]!;
    // Inputs that are always zero carry no information: the plain components of the weight remain.
    const damping = trace === 0 ? 1 : (DAMPING * trace) / rows;
    for (let i = 0; i < rows; i++) mean[i * rows + i]! += damping;
    return matrix(rows, rows, mean);
  }
}
