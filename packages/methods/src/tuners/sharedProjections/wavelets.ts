/** @file Orthogonal wavelet filters: Daubechies' and symlets, by spectral factorisation. */

type Complex = readonly [re: number, im: number];

/** Bit masks of a symlet's zeros outside the unit circle, in the order of their real parts in y, from sym2 on. */
const outside: readonly number[] = [0, 0, 2, 1, 5, 1, 10, 6, 21];

export const wavelets: readonly string[] = [
  ...Array.from({ length: 10 }, (_, i) => `db${i + 1}`),
  ...outside.map((_, i) => `sym${i + 2}`),
];

/**
 * Synthesis low-pass filter of a wavelet, 2·N taps; the high-pass filter is its reverse with alternating signs.
 * @see Daubechies, Ten Lectures on Wavelets, 1992, chapter 6
 */
export function waveletFilter(name: string): readonly number[] {
  const [, family, digits] = /^(db|sym)(\d+)$/.exec(name)!;
  const n = Number(digits);
  const mask = family === 'sym' ? outside[n - 2]! : 0;
  // Σ C(n − 1 + k, k)·yᵏ, with y = (2 − z − 1/z) / 4
  const coefficients = Array.from({ length: n }, (_, k) => binomial(n - 1 + k, k));
  const zeros = rootsOf(coefficients)
    .filter(([, im]) => im > -1e-9)
    .sort((a, b) => a[0] - b[0]);
  let filter: number[] = [1];
  zeros.forEach((y, i) => {
    const z = zeroOf(y, (mask >> i) % 2 === 1);
    const isReal = Math.abs(y[1]) < 1e-9;
    filter = product(filter, isReal ? [1, -z[0]] : [1, -2 * z[0], z[0] ** 2 + z[1] ** 2]);
  });
  for (let i = 0; i < n; i++) filter = product(filter, [1, 1]);
  const sum = filter.reduce((total, each) => total + each, 0);
  return filter.map((each) => (each * Math.SQRT2) / sum);
}

/** The solution z of (2 − z − 1/z) / 4 = y inside the unit circle, or the one outside. */
function zeroOf(y: Complex, isOutside: boolean): Complex {
  const b: Complex = [1 - 2 * y[0], -2 * y[1]];
  const [re, im] = times(b, b);
  const root = squareRoot([re - 1, im]);
  const both: readonly Complex[] = [
    [b[0] + root[0], b[1] + root[1]],
    [b[0] - root[0], b[1] - root[1]],
  ];
  return both.find((z) => Math.hypot(...z) > 1 === isOutside)!;
}

function rootsOf(coefficients: readonly number[]): Complex[] {
  const degree = coefficients.length - 1;
  const leading = coefficients[degree]!;
  let roots = Array.from({ length: degree }, (_, i): Complex => power([0.4, 0.9], i));
  for (let round = 0; round < 500; round++) {
    roots = roots.map((x, i) => {
      const value = coefficients.reduceRight<Complex>(([re, im], c) => { const [a, b] = times([re, im], x); return [a + c / leading, b]; }, [0, 0]); // prettier-ignore
      const apart = roots.reduce<Complex>((all, y, j) => (i === j ? all : times(all, [x[0] - y[0], x[1] - y[1]])), [1, 0]); // prettier-ignore
      const step = divided(value, apart);
      return [x[0] - step[0], x[1] - step[1]];
    });
  }
  return roots;
}

function times([a, b]: Complex, [c, d]: Complex): Complex {
  return [a * c - b * d, a * d + b * c];
}

function divided([a, b]: Complex, [c, d]: Complex): Complex {
  const size = c * c + d * d;
  return [(a * c + b * d) / size, (b * c - a * d) / size];
}

function power(x: Complex, exponent: number): Complex {
  return exponent === 0 ? [1, 0] : times(x, power(x, exponent - 1));
}

function squareRoot([re, im]: Complex): Complex {
  const size = Math.hypot(re, im);
  return [Math.sqrt((size + re) / 2), Math.sqrt(Math.max(0, (size - re) / 2)) * (im < 0 ? -1 : 1)];
}

function product(a: readonly number[], b: readonly number[]): number[] {
  const result = new Array<number>(a.length + b.length - 1).fill(0);
  a.forEach((x, i) => {
    b.forEach((y, j) => {
      result[i + j]! += x * y;
    });
  });
  return result;
}

function binomial(n: number, k: number): number {
  return k === 0 ? 1 : (binomial(n - 1, k - 1) * n) / k;
}
