import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../runtime/random.ts';
import { solvePositive, svd, symmetricEigen } from './decompositions.ts';
import { leadingSvd } from './leadingSvd.ts';
import {
  addScaled,
  joinColumns,
  type Matrix,
  matmul,
  matrix,
  scaleColumns,
  scaleRows,
  sliceColumns,
  transpose,
} from './matrix.ts';
import { minimize } from './minimize.ts';
import { qr } from './qr.ts';
import { randomSvd } from './randomSvd.ts';
import { trailingSvd } from './trailingSvd.ts';

function normal(rows: number, columns: number, seed: number): Matrix {
  const random = new Random(seed);
  return matrix(
    rows,
    columns,
    Float64Array.from({ length: rows * columns }, () => random.normal()),
  );
}

function largest({ data }: Matrix): number {
  return data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

function distance(a: Matrix, b: Matrix): number {
  expect([a.rows, a.columns]).toEqual([b.rows, b.columns]);
  return largest(addScaled(a, b, -1));
}

function identity(n: number): Matrix {
  const result = matrix(n, n);
  for (let i = 0; i < n; i++) result.data[i * n + i] = 1;
  return result;
}

/** The product by its definition. */
function product(a: Matrix, b: Matrix): Matrix {
  const result = matrix(a.rows, b.columns);
  for (let i = 0; i < a.rows; i++)
    for (let j = 0; j < b.columns; j++)
      for (let k = 0; k < a.columns; k++)
        result.data[i * b.columns + j]! += a.data[i * a.columns + k]! * b.data[k * b.columns + j]!;
  return result;
}

const sizes = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.nat());

describe('products', () => {
  it('are what the definition says, whichever operand is transposed', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 150 }), ([rows, columns, seed], inner) => {
        const [a, b] = [normal(rows, inner, seed), normal(inner, columns, seed + 1)];
        const expected = product(a, b);
        expect(distance(matmul(a, b), expected)).toBeLessThan(1e-12);
        expect(distance(matmul(transpose(a), b, { transposeA: true }), expected)).toBeLessThan(1e-12);
        expect(distance(matmul(a, transpose(b), { transposeB: true }), expected)).toBeLessThan(1e-12);
      }),
    );
  });

  it('refuse operands that do not fit', () => {
    expect(() => matmul(matrix(2, 3), matrix(2, 3))).toThrow('[2, 3] and [2, 3] have no product');
    expect(() => matrix(2, 3, [1])).toThrow(RangeError);
  });

  it('join columns', () => {
    expect(joinColumns(matrix(2, 1, [1, 2]), matrix(2, 2, [3, 4, 5, 6]))).toEqual(matrix(2, 3, [1, 3, 4, 2, 5, 6]));
  });

  it('scale rows and columns as diagonal matrices do', () => {
    const a = matrix(2, 2, [1, 2, 3, 4]);
    expect([...scaleRows(a, [10, 100]).data]).toEqual([10, 20, 300, 400]);
    expect([...scaleColumns(a, [10, 100]).data]).toEqual([10, 200, 30, 400]);
  });
});

describe('svd', () => {
  it('finds the values of a matrix that is known', () => {
    // [[3, 0], [4, 5]] has the singular values √45 and √5.
    const { U, S, V } = svd(matrix(2, 2, [3, 0, 4, 5]));
    expect(S[0]).toBeCloseTo(Math.sqrt(45), 12);
    expect(S[1]).toBeCloseTo(Math.sqrt(5), 12);
    expect(Math.abs(U.data[0]! / U.data[2]!)).toBeCloseTo(1 / 3, 12);
    expect(V.data[0]! / V.data[2]!).toBeCloseTo(1, 12);
  });

  it('multiplies back, with orthonormal vectors and falling values', () => {
    fc.assert(
      fc.property(sizes, ([rows, columns, seed]) => {
        const a = normal(rows, columns, seed);
        const { U, S, V } = svd(a);
        expect(distance(matmul(scaleColumns(U, S), V, { transposeB: true }), a)).toBeLessThan(1e-12);
        expect(distance(matmul(U, U, { transposeA: true }), identity(S.length))).toBeLessThan(1e-12);
        expect(distance(matmul(V, V, { transposeA: true }), identity(S.length))).toBeLessThan(1e-12);
        expect([...S]).toEqual([...S].sort((x, y) => y - x));
      }),
    );
  });

  it('takes matrices of lower rank, and zeros', () => {
    const a = matmul(normal(9, 2, 1), normal(2, 7, 2));
    const { U, S, V } = svd(a);
    expect(S[2]).toBeLessThan(1e-12);
    expect(distance(matmul(scaleColumns(U, S), V, { transposeB: true }), a)).toBeLessThan(1e-12);
    expect([...svd(matrix(3, 2)).S]).toEqual([0, 0]);
  });

  it('refuses values that would keep it busy for ever', () => {
    expect(() => svd(matrix(1, 2, [1, NaN]))).toThrow('not finite');
    expect(() => svd(matrix(1, 2, [1, Infinity]))).toThrow('not finite');
  });
});

describe('eigenvalues', () => {
  it('multiply back, with orthonormal vectors and rising values', () => {
    fc.assert(
      fc.property(sizes, ([rows, columns, seed]) => {
        const a = normal(rows, columns, seed);
        const gram = matmul(a, a, { transposeA: true });
        const { values, V } = symmetricEigen(gram);
        expect(distance(matmul(scaleColumns(V, values), V, { transposeB: true }), gram)).toBeLessThan(1e-11);
        expect(distance(matmul(V, V, { transposeA: true }), identity(columns))).toBeLessThan(1e-12);
        expect([...values]).toEqual([...values].sort((x, y) => x - y));
      }),
    );
    // [[2, 1], [1, 2]] has the eigenvalues 1 and 3.
    expect(symmetricEigen(matrix(2, 2, [2, 1, 1, 2])).values[1]).toBeCloseTo(3, 12);
    expect(() => symmetricEigen(matrix(1, 1, [NaN]))).toThrow('not finite');
  });
});

describe('the first singular values alone', () => {
  /** U·diag(values)·Vᵀ with orthonormal U and V. */
  function withValues(rows: number, columns: number, values: readonly number[]): Matrix {
    const [left, right] = [normal(rows, values.length, 11), normal(columns, values.length, 12)].map((a) => qr(a).Q);
    return matmul(scaleColumns(left!, values), right!, { transposeB: true });
  }

  it.each([
    ['values that fall slowly', 300, 180, Array.from({ length: 180 }, (_, i) => 0.97 ** i)],
    ['a wide matrix', 150, 400, Array.from({ length: 150 }, (_, i) => 1 / (1 + i))],
    ['values that come twice', 200, 200, Array.from({ length: 200 }, (_, i) => 0.9 ** Math.floor(i / 2))],
    ['a matrix of lower rank', 200, 160, [3, 2]],
    ['values that fall hardly at all', 160, 160, Array.from({ length: 160 }, (_, i) => 2 - i / 160)],
    ['a small matrix', 9, 5, [5, 4, 3, 2, 1]],
  ])('are those of all: %s', (_, rows, columns, values) => {
    const { U, S, V } = leadingSvd(withValues(rows, columns, values), 4, new Random(2));
    expect(S).toHaveLength(4);
    S.forEach((value, i) => expect(value).toBeCloseTo(values[i] ?? 0, 10));
    // The vectors span what they should: the product is the best approximation of rank 4.
    const best = withValues(
      rows,
      columns,
      values.map((value, i) => (i < 4 ? value : 0)),
    );
    expect(distance(matmul(scaleColumns(U, S), V, { transposeB: true }), best)).toBeLessThan(1e-6);
    expect(distance(matmul(U, U, { transposeA: true }), identity(4))).toBeLessThan(1e-12);
    expect(distance(matmul(V, V, { transposeA: true }), identity(4))).toBeLessThan(1e-12);
  });

  it('of zeros are zeros, and values that are not finite are refused', () => {
    expect([...leadingSvd(matrix(200, 200), 2, new Random(1)).S]).toEqual([0, 0]);
    expect([...leadingSvd(matrix(3, 2, [1, 0, 0, 2, 0, 0]), 5, new Random(1)).S]).toEqual([2, 1]);
    const broken = matrix(200, 200, new Float64Array(40_000).fill(NaN, 7, 8));
    expect(() => leadingSvd(broken, 2, new Random(1))).toThrow('not finite');
  });
});

describe('the smallest singular values', () => {
  it.each([
    ['a square matrix', 200, 200, 5],
    ['a wide one', 150, 260, 3],
    ['a tall one', 260, 150, 3],
    ['a small one', 9, 5, 2],
    ['more than it has', 4, 6, 9],
  ])('are those of all: %s', (_, rows, columns, rank) => {
    const a = normal(rows, columns, 7);
    const all = svd(a);
    const from = Math.max(0, all.S.length - rank);
    const { U, S, V } = trailingSvd(a, rank, new Random(3));
    expect(S).toHaveLength(all.S.length - from);
    S.forEach((value, i) => expect(value).toBeCloseTo(all.S[from + i]!, 7));
    const product = (own: typeof all, start: number): Matrix =>
      matmul(scaleColumns(sliceColumns(own.U, start, own.S.length), own.S.slice(start)), sliceColumns(own.V, start, own.S.length), { transposeB: true }); // prettier-ignore
    expect(distance(product({ U, S, V }, 0), product(all, from))).toBeLessThan(1e-6);
    expect(distance(matmul(U, U, { transposeA: true }), identity(S.length))).toBeLessThan(1e-6);
    expect(distance(matmul(V, V, { transposeA: true }), identity(S.length))).toBeLessThan(1e-6);
  });

  it('are zeros of a matrix of lower rank, and values that are not finite are refused', () => {
    const low = matmul(normal(150, 20, 1), normal(20, 160, 2));
    const { U, S, V } = trailingSvd(low, 3, new Random(1));
    S.forEach((value) => expect(value).toBeCloseTo(0, 8));
    expect(distance(matmul(U, U, { transposeA: true }), identity(3))).toBeLessThan(1e-8);
    expect(distance(matmul(V, V, { transposeA: true }), identity(3))).toBeLessThan(1e-8);
    const broken = matrix(200, 200, new Float64Array(40_000).fill(NaN, 7, 8));
    expect(() => trailingSvd(broken, 2, new Random(1))).toThrow('not finite');
  });
});

describe('qr', () => {
  it('has LAPACK’s signs', () => {
    // numpy.linalg.qr([[3, 1], [4, 2]]): R = [[-5, -2.2], [0, 0.4]].
    const { Q, R } = qr(matrix(2, 2, [3, 1, 4, 2]));
    [-5, -2.2, 0, 0.4].forEach((value, i) => expect(R.data[i]).toBeCloseTo(value, 12));
    [-0.6, -0.8, -0.8, 0.6].forEach((value, i) => expect(Q.data[i]).toBeCloseTo(value, 12));
  });

  it('multiplies back, and its first rows and columns can be had alone', () => {
    fc.assert(
      fc.property(sizes, ([rows, columns, seed]) => {
        const a = normal(rows, columns, seed);
        const { Q, R } = qr(a);
        expect(distance(matmul(Q, R), a)).toBeLessThan(1e-12);
        expect(distance(matmul(Q, Q, { transposeA: true }), identity(Q.columns))).toBeLessThan(1e-12);
        const first = qr(a, 1);
        expect(distance(first.Q, sliceColumns(Q, 0, 1))).toBeLessThan(1e-15);
        expect(distance(first.R, matrix(1, columns, R.data.slice(0, columns)))).toBeLessThan(1e-15);
      }),
    );
  });
});

it('a system with a positive definite matrix is solved, and another refused', () => {
  const root = normal(6, 6, 4);
  const a = addScaled(matmul(root, root, { transposeA: true }), identity(6), 0.1);
  const b = normal(6, 3, 5);
  expect(distance(matmul(a, solvePositive(a, b)), b)).toBeLessThan(1e-10);
  expect(() => solvePositive(matrix(2, 2, [1, 2, 2, 1]), matrix(2, 1))).toThrow('not positive definite');
});

describe('a random projection', () => {
  it('finds a matrix of low rank exactly', () => {
    const a = matmul(normal(40, 3, 1), normal(3, 25, 2));
    const { U, S, V } = randomSvd(a, { rank: 3, iterations: 0, random: new Random(7) });
    expect(distance(matmul(scaleColumns(U, S), V, { transposeB: true }), a)).toBeLessThan(1e-12);
  });

  it('comes near the first components, the nearer the more iterations', () => {
    const decay = Float64Array.from({ length: 20 }, (_, i) => 0.8 ** i);
    const a = matmul(scaleColumns(qr(normal(30, 20, 1)).Q, decay), qr(normal(20, 20, 2)).Q, { transposeB: true });
    const error = (iterations: number): number =>
      Math.abs(randomSvd(a, { rank: 4, iterations, random: new Random(3) }).S[3]! - 0.8 ** 3);
    expect(error(0)).toBeGreaterThan(1e-3);
    expect(error(4)).toBeLessThan(error(0) / 10);
    expect(error(40)).toBeLessThan(1e-9);
  });

  it('gives as many components as there are, at most', () => {
    const { S } = randomSvd(normal(3, 2, 1), { rank: 5, iterations: 1, random: new Random(1) });
    expect(S).toHaveLength(2);
  });
});

it('a convex function has its minimum found, however unlike its directions are', () => {
  // Σ sᵢ · (cosh(xᵢ − i) − 1)
  const start = new Float64Array(8);
  const found = minimize(
    (x, slope) =>
      x.reduce((sum, each, i) => {
        slope[i] = 3 ** i * Math.sinh(each - i);
        return sum + 3 ** i * (Math.cosh(each - i) - 1);
      }, 0),
    start,
    { tolerance: 1e-9 },
  );
  found.forEach((each, i) => expect(each).toBeCloseTo(i, 8));
  expect([...start]).toEqual(new Array(8).fill(0));
  // Where it begins at the minimum, and where no step is allowed.
  const bowl = (x: Float64Array, slope: Float64Array): number => {
    slope[0] = 2 * x[0]!;
    return x[0]! ** 2;
  };
  expect([...minimize(bowl, new Float64Array(1))]).toEqual([0]);
  expect([...minimize(bowl, new Float64Array([3]), { iterations: 0 })]).toEqual([3]);
});
