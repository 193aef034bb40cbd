/** @file Statistics over trials: means with intervals, and paired tests. */

/** The mean of numbers; NaN of none. */
export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Sample standard deviation, for two or more values: √(Σ(x − mean)² / (n − 1)). */
export function deviationOf(values: readonly number[]): number {
  const mean = meanOf(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}

/** How much data trials of different seeds share. */
export interface Resampling {
  /**
   * Held-out over training examples, where trials differ in both: shared training data understates variance. 0 where
   * all are equal.
   */
  readonly ratio: number;
}

const SAME: Resampling = { ratio: 0 };

/**
 * Standard error of a mean, after Nadeau and Bengio where trials share training data: √((1 / n + ratio) s²).
 * @see https://doi.org/10.1023/A:1024068626366
 */
function errorOfMean(values: readonly number[], { ratio }: Resampling): number {
  return Math.sqrt(1 / values.length + ratio) * deviationOf(values);
}

/** 95% interval of the mean, by Student's t; undefined for fewer than two values. */
export function intervalOfMean(
  values: readonly number[],
  resampling: Resampling = SAME,
): readonly [low: number, high: number] | undefined {
  if (values.length < 2) return undefined;
  const reach = tQuantile(0.975, values.length - 1) * errorOfMean(values, resampling);
  const mean = meanOf(values);
  return [mean - reach, mean + reach];
}

export interface PairedTest {
  readonly pairs: number;
  readonly difference: number;
  /** 95% interval; absent for one pair. */
  readonly interval?: readonly [low: number, high: number];
  /** Two-sided p-value; absent for one pair, and for equal non-zero differences, whose variance is unknown. */
  readonly p?: number;
}

/** Student's paired t-test. */
export function pairedTest(differences: readonly number[], resampling: Resampling = SAME): PairedTest {
  const pairs = differences.length;
  const difference = meanOf(differences);
  const interval = intervalOfMean(differences, resampling);
  if (!interval) return { pairs, difference };
  const error = errorOfMean(differences, resampling);
  if (error === 0) return { pairs, difference, ...(difference === 0 ? { interval, p: 1 } : {}) };
  return { pairs, difference, interval, p: 2 * tDistribution(-Math.abs(difference) / error, pairs - 1) };
}

/** p-values of several tests, corrected by Holm's method. */
export function holm(probabilities: readonly number[]): number[] {
  const order = probabilities.map((_, i) => i).sort((a, b) => probabilities[a]! - probabilities[b]!);
  const adjusted: number[] = [];
  let least = 0;
  order.forEach((at, rank) => {
    least = Math.max(least, Math.min(1, (probabilities.length - rank) * probabilities[at]!));
    adjusted[at] = least;
  });
  return adjusted;
}

/** Cumulative distribution function of Student's t. */
export function tDistribution(t: number, freedom: number): number {
  const tail = 0.5 * incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
  return t > 0 ? 1 - tail : tail;
}

/** Quantile of Student's t, for probabilities above a half. */
export function tQuantile(probability: number, freedom: number): number {
  let [low, high] = [0, 1];
  while (tDistribution(high, freedom) < probability) [low, high] = [high, 2 * high];
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (tDistribution(middle, freedom) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The regularised incomplete beta function, by its continued fraction. @see https://dlmf.nist.gov/8.17#v */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  // The fraction converges fast only below the mean.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(a * Math.log(x) + b * Math.log1p(-x) - (logGamma(a) + logGamma(b) - logGamma(a + b))) / a;
  // Lentz's method, with 1e-300 for a zero denominator.
  const away = (value: number): number => (Math.abs(value) < 1e-300 ? 1e-300 : value);
  let [c, d] = [1, 1 / away(1 - ((a + b) * x) / (a + 1))];
  let fraction = d;
  for (let m = 1; m < 1000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    let factor = 1;
    for (const term of [even, odd]) {
      d = 1 / away(1 + term * d);
      c = away(1 + term / c);
      factor = c * d;
      fraction *= factor;
    }
    if (Math.abs(factor - 1) < 1e-15) break;
  }
  return front * fraction;
}

/** ln Γ(x) for x > 0, by Stirling's series. */
function logGamma(x: number): number {
  if (x < 10) return logGamma(x + 1) - Math.log(x);
  const square = 1 / (x * x);
  const series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / x;
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series;
}
