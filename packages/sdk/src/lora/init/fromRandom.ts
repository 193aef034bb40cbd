/** @file Initialisers from random numbers alone: `gaussian`, `orthogonal`, `zeros`, both factors random. */

import { type Matrix, matmul, matrix, transpose } from '../../linalg/matrix.ts';
import { qr } from '../../linalg/qr.ts';
import type { Random } from '../../runtime/random.ts';
import type { RandomInitializer } from './initializer.ts';

/** A normal with standard deviation 1 / r, B zero; embeddings start as by default. */
export const gaussian: RandomInitializer = {
  name: 'gaussian',
  needs: 'nothing',
  saved: { initLoraWeights: 'gaussian' },
  init: ({ kind, out, width, r, groups }, random) =>
    kind === 'embedding'
      ? { A: matrix(r, width), B: normal(out, r, random, 1) }
      : { A: normal(r, width, random, 1 / r), B: matrix(out, r / groups) },
};

/** The default reversed: A zero, B as torch initialises a Linear. @see https://arxiv.org/abs/2406.08447 (Init[B]) */
export const zeros: RandomInitializer = {
  name: 'zeros',
  needs: 'nothing',
  init: ({ kind, out, width, r, groups }, random) => ({
    A: matrix(r, width),
    B: kind === 'embedding' ? normal(out, r, random, 1) : uniform(out, r / groups, random, 1 / Math.sqrt(r / groups)),
  }),
};

/** Two orthogonal halves of a random basis, so that B·A is 0. @see https://datta0.github.io/posts/rethink-lora-init/ */
export const orthogonal: RandomInitializer = {
  name: 'orthogonal',
  needs: 'nothing',
  saved: { initLoraWeights: 'orthogonal' },
  refuses: ({ r, groups }) =>
    r % 2 === 1
      ? `has rank ${r}, and orthogonal initialisation needs an even one`
      : groups > 1
        ? 'is a grouped convolution, whose factors do not multiply as matrices'
        : undefined,
  init: ({ out, width, r }, random) => {
    const { Q } = qr(normal(r, r, random, 1));
    const half = r / 2;
    const [first, second] = [everySecondRow(Q, 0), everySecondRow(Q, 1)];
    return {
      A: transpose(matmul(normal(width, half, random, 0.1), first)),
      B: matmul(normal(out, half, random, 0.1), second),
    };
  },
};

/** Both factors as torch initialises them, PEFT's `init_lora_weights=False`: the delta is not zero. For tests. */
export const bothRandom: RandomInitializer = {
  name: 'false',
  needs: 'nothing',
  saved: { initLoraWeights: false },
  init: ({ kind, out, width, r, groups }, random) => {
    if (kind === 'embedding') return { A: normal(r, width, random, 1), B: normal(out, r, random, 1) };
    const ranks = r / groups;
    return { A: defaultA(r, width, random), B: uniform(out, ranks, random, 1 / Math.sqrt(ranks)) };
  },
};

/** PEFT's default A, for all layers but embeddings. */
export function defaultA(r: number, width: number, random: Random): Matrix {
  return uniform(r, width, random, 1 / Math.sqrt(width));
}

function normal(rows: number, columns: number, random: Random, deviation: number): Matrix {
  return matrix(
    rows,
    columns,
    Float64Array.from({ length: rows * columns }, () => deviation * random.normal()),
  );
}

function uniform(rows: number, columns: number, random: Random, bound: number): Matrix {
  return matrix(
    rows,
    columns,
    Float64Array.from({ length: rows * columns }, () => random.uniform(-bound, bound)),
  );
}

function everySecondRow({ rows, columns, data }: Matrix, first: number): Matrix {
  const result = matrix(rows / 2, columns);
  for (let i = 0; i < result.rows; i++) {
    const start = (2 * i + first) * columns;
    result.data.set(data.subarray(start, start + columns), i * columns);
  }
  return result;
}
