/** @file Kendall's rank correlation. */

/** Kendall's τ-b by Knight's method (1966), as SciPy's `kendalltau`; NaN where either side is constant. */
export function kendall(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const n = a.length;
  const order = Int32Array.from({ length: n }, (_, i) => i).sort((i, j) => a[i]! - a[j]! || b[i]! - b[j]!);
  const inOrder = Float64Array.from(order, (i) => b[i]!);
  const pairs = (n * (n - 1)) / 2;
  const tiedA = tiedPairs(n, (i, j) => a[order[i]!] === a[order[j]!]);
  const tiedBoth = tiedPairs(n, (i, j) => a[order[i]!] === a[order[j]!] && inOrder[i] === inOrder[j]);
  const swaps = inversions(inOrder);
  // Sorted by now.
  const tiedB = tiedPairs(n, (i, j) => inOrder[i] === inOrder[j]);
  const size = Math.sqrt(pairs - tiedA) * Math.sqrt(pairs - tiedB);
  return size === 0 ? Number.NaN : (pairs - tiedA - tiedB + tiedBoth - 2 * swaps) / size;
}

/** Pairs within runs of equal neighbours. */
function tiedPairs(n: number, isSame: (i: number, j: number) => boolean): number {
  let [sum, run] = [0, 1];
  for (let i = 1; i <= n; i++) {
    if (i < n && isSame(i, i - 1)) run++;
    else {
      sum += (run * (run - 1)) / 2;
      run = 1;
    }
  }
  return sum;
}

/** Merge sort that counts inversions. */
function inversions(values: Float64Array): number {
  if (values.length < 2) return 0;
  const middle = values.length >> 1;
  const [left, right] = [values.slice(0, middle), values.slice(middle)];
  let count = inversions(left) + inversions(right);
  let [i, j] = [0, 0];
  for (let at = 0; at < values.length; at++) {
    if (j < right.length && (i === left.length || right[j]! < left[i]!)) {
      values[at] = right[j++]!;
      count += left.length - i;
    } else values[at] = left[i++]!;
  }
  return count;
}
