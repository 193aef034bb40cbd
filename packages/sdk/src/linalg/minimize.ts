/** @file L-BFGS: minimizes a smooth function of many variables from values and gradients. */

/** Returns the function's value at a point, and writes its gradient into the second array. */
export type ValueAt = (point: Float64Array, gradient: Float64Array) => number;

/** Stopping criteria of {@link minimize}. */
export interface MinimizeOptions {
  /** Largest absolute gradient element at the minimum; 1e-5 by default. */
  readonly tolerance?: number | undefined;
  /** Maximum number of steps; 200 by default. */
  readonly iterations?: number | undefined;
}

/** History size: more differences cost more and add little curvature information. */
const REMEMBERED = 10;

interface Difference {
  readonly step: Float64Array;
  readonly change: Float64Array;
  readonly inner: number;
}

/**
 * Minimizes a smooth, convex function from `start`, which stays unchanged, by limited-memory BFGS with a backtracking
 * line search. Needs the memory of 25 points.
 * @see Nocedal and Wright, "Numerical Optimization", algorithms 7.4 and 3.1
 */
export function minimize(
  valueAt: ValueAt,
  start: Float64Array,
  { tolerance = 1e-5, iterations = 200 }: MinimizeOptions = {},
): Float64Array {
  const array = (): Float64Array => new Float64Array(start.length);
  let [point, next, gradient, nextGradient] = [array(), array(), array(), array()];
  const direction = array();
  point.set(start);
  const history: Difference[] = [];
  let value = valueAt(point, gradient);
  for (let i = 0; i < iterations && gradient.some((each) => Math.abs(each) > tolerance); i++) {
    descend(direction, gradient, history);
    const slope = dot(direction, gradient);
    // The first step has no curvature information to scale it.
    let length = history.length > 0 ? 1 : 1 / Math.sqrt(-slope);
    let nextValue = Infinity;
    for (; ; length /= 2) {
      // Rounding hides further progress.
      if (length < 1e-12) return point;
      next.set(point);
      add(next, direction, length);
      nextValue = valueAt(next, nextGradient);
      if (nextValue <= value + 1e-4 * length * slope) break;
    }
    // Reuse the oldest entry's arrays.
    const oldest = history.length === REMEMBERED ? history.shift() : undefined;
    const step = difference(next, point, oldest?.step);
    const change = difference(nextGradient, gradient, oldest?.change);
    const inner = dot(step, change);
    if (inner > 1e-14 * dot(change, change)) history.push({ step, change, inner });
    [point, next, gradient, nextGradient, value] = [next, point, nextGradient, gradient, nextValue];
  }
  return point;
}

/** Minus the approximate inverse Hessian times the gradient (two-loop recursion). */
function descend(direction: Float64Array, gradient: Float64Array, history: readonly Difference[]): void {
  for (let i = 0; i < gradient.length; i++) direction[i] = -gradient[i]!;
  const factors: number[] = [];
  for (const { step, change, inner } of history.toReversed()) {
    const factor = dot(step, direction) / inner;
    factors.push(factor);
    add(direction, change, -factor);
  }
  const last = history.at(-1);
  if (last) {
    const scale = last.inner / dot(last.change, last.change);
    for (let i = 0; i < direction.length; i++) direction[i]! *= scale;
  }
  for (const { step, change, inner } of history) add(direction, step, factors.pop()! - dot(change, direction) / inner);
}

function difference(a: Float64Array, b: Float64Array, into?: Float64Array): Float64Array {
  const result = into ?? new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) result[i] = a[i]! - b[i]!;
  return result;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function add(a: Float64Array, b: ArrayLike<number>, factor: number): void {
  for (let i = 0; i < a.length; i++) a[i]! += factor * b[i]!;
}
