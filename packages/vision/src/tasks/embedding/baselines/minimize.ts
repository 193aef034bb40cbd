/** @file L-BFGS: minimises a smooth function of many numbers from its values and gradients. */

/** A function's value at a point, and its gradient there. */
export interface Slope {
  readonly value: number;
  readonly gradient: Float64Array;
}

/** When {@link minimize} ends. */
export interface MinimizeOptions {
  /** The largest element of the gradient at which a point counts as the minimum; 1e-5 by default. */
  readonly tolerance?: number | undefined;
  /** Steps at most; 200 by default. */
  readonly iterations?: number | undefined;
}

/** Differences that the curvature is known from: more cost more and say little that is new. */
const memory = 10;

/**
 * The minimum of a smooth, convex function near `start`, by limited-memory BFGS with a backtracking line search.
 *
 * @see Nocedal and Wright, "Numerical Optimization", algorithms 7.4 and 3.1
 */
export function minimize(
  slopeAt: (point: Float64Array) => Slope,
  start: Float64Array,
  { tolerance = 1e-5, iterations = 200 }: MinimizeOptions = {},
): Float64Array {
  let point = start;
  let current = slopeAt(point);
  const history: { readonly step: Float64Array; readonly change: Float64Array; readonly inner: number }[] = [];
  for (let i = 0; i < iterations && largest(current.gradient) > tolerance; i++) {
    const direction = descent(current.gradient, history);
    const slope = dot(direction, current.gradient);
    let length = history.length > 0 ? 1 : 1 / Math.sqrt(-slope);
    let next = along(point, direction, length);
    let found = slopeAt(next);
    while (!(found.value <= current.value + 1e-4 * length * slope)) {
      length /= 2;
      // Rounding hides what is left to gain.
      if (length < 1e-12) return point;
      next = along(point, direction, length);
      found = slopeAt(next);
    }
    const step = along(next, point, -1);
    const change = along(found.gradient, current.gradient, -1);
    const inner = dot(step, change);
    if (inner > 1e-14 * dot(change, change)) history.push({ step, change, inner });
    if (history.length > memory) history.shift();
    point = next;
    current = found;
  }
  return point;
}

/** Minus the inverse Hessian times the gradient, as far as the history knows it (two loops). */
function descent(
  gradient: Float64Array,
  history: readonly { readonly step: Float64Array; readonly change: Float64Array; readonly inner: number }[],
): Float64Array {
  let q: Float64Array = gradient.map((value) => -value);
  const factors: number[] = [];
  for (const { step, change, inner } of history.toReversed()) {
    const factor = dot(step, q) / inner;
    factors.push(factor);
    q = along(q, change, -factor);
  }
  const last = history.at(-1);
  if (last) {
    const scale = last.inner / dot(last.change, last.change);
    q = q.map((value) => value * scale);
  }
  for (const { step, change, inner } of history) q = along(q, step, factors.pop()! - dot(change, q) / inner);
  return q;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** `a + factor · b`. */
function along(a: Float64Array, b: Float64Array, factor: number): Float64Array {
  return a.map((value, i) => value + factor * b[i]!);
}

function largest(values: Float64Array): number {
  let found = 0;
  for (const value of values) found = Math.max(found, Math.abs(value));
  return found;
}
