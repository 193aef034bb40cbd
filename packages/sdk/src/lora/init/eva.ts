/** @file EVA: A starts with the principal directions of the layer's inputs, and ranks go where these explain most. */

import { OnnxLoraError } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import { type Matrix, matrix, scaleColumns, sliceColumns, transpose } from '../../linalg/matrix.ts';
import { IncrementalPca } from './incrementalPca.ts';
import type {
  InitialFactors,
  InitSite,
  InputBatch,
  InputInitializer,
  InputObserver,
  ObservedLayer,
} from './initializer.ts';

/** Options of {@link eva}. */
export interface EvaOptions {
  /** A layer's rank may grow to rho · r; 1 keeps all ranks. 2 by default. */
  readonly rho?: number;
  /** Least cosine similarity between batches of a settled direction; 0.99 by default. */
  readonly tau?: number;
  /** Divide each direction by the root of its singular value; false by default. */
  readonly whiten?: boolean;
}

const requireKnown = knownOptions<EvaOptions>('eva', { rho: true, tau: true, whiten: true });

/**
 * A = first principal components of the inputs, B = 0 (arXiv 2410.07170).
 * @throws OnnxLoraError `CONFIG_INVALID` for a rho below 1
 */
export function eva(options: EvaOptions = {}): InputInitializer {
  requireKnown(options);
  const { rho = 2, tau = 0.99, whiten = false } = options;
  if (!(rho >= 1)) throw new OnnxLoraError('CONFIG_INVALID', `rho of eva must be at least 1, but it is ${rho}.`);
  return {
    name: 'eva',
    needs: 'inputs',
    saved: {
      initLoraWeights: 'eva',
      extra: {
        eva_config: {
          rho,
          tau,
          whiten,
          adjust_scaling_factors: true,
          use_label_mask: false,
          label_mask_value: -100,
        },
      },
    },
    passes: 4,
    refuses: ({ width, r }) => (r > width ? `reads ${width} values, which have fewer than ${r} directions` : undefined),
    observe: ({ width, r, random }) =>
      new Directions(
        new IncrementalPca({ width, components: Math.min(width, Math.round(r * rho)), tau, random }),
        whiten,
      ),
    ...(rho === 1 ? {} : { ranks: shareRanks }),
  };
}

class Directions implements InputObserver {
  readonly #pca: IncrementalPca;
  readonly #whiten: boolean;

  constructor(pca: IncrementalPca, whiten: boolean) {
    this.#pca = pca;
    this.#whiten = whiten;
  }

  update(batch: InputBatch): void {
    this.#pca.update(batch);
  }

  get settled(): boolean {
    return this.#pca.settled;
  }

  get explained(): readonly number[] {
    return this.#pca.explained;
  }

  factors({ out, r }: InitSite): InitialFactors {
    const { components, singularValues } = this.#pca;
    const first = sliceColumns(components, 0, Math.min(r, components.columns));
    const roots = singularValues.subarray(0, first.columns).map((value) => 1 / Math.sqrt(value || 1));
    return { A: withRows(transpose(this.#whiten ? scaleColumns(first, roots) : first), r), B: matrix(out, r) };
  }
}

/** Redistributes the sum of all ranks to the components that explain the most variance of their layer's inputs. */
function shareRanks(layers: readonly ObservedLayer[]): Map<string, number> {
  const budget = layers.reduce((sum, { r }) => sum + r, 0);
  const components = layers.flatMap(({ path, observer }) =>
    (observer.explained ?? []).map((share) => ({ path, share })),
  );
  const ranks = new Map(layers.map(({ path }) => [path, 0]));
  for (const { path } of components.sort((a, b) => b.share - a.share).slice(0, budget))
    ranks.set(path, ranks.get(path)! + 1);
  return ranks;
}

/** Appends rows of zeros: a batch of few rows has few directions. */
function withRows(given: Matrix, rows: number): Matrix {
  if (given.rows === rows) return given;
  const result = matrix(rows, given.columns);
  result.data.set(given.data);
  return result;
}
