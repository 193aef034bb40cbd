/** @file How long batches take, learnt from those that were computed. */

/** What an older batch counts for, compared to the one after it. */
const DECAY = 0.95;
/** Batches grow until what they cost whatever their size is this part of the rest: more saves less than that. */
const FIXED_PART = 0.1;
/** Sizes that differ by less, as their variance over their squared mean, say nothing of what size does. */
const LEAST_SPREAD = 0.01;
/** A batch may be so many times as large as the largest before it, which counts for less with each: one that is too large holds everybody up. */
const GROWTH = 2;
/** Keys come from what clients send: so many are known at a time. */
const MAX_KEYS = 1000;

/** Weighted sums over batches of x positions that took y milliseconds. */
interface Sums {
  readonly n: number;
  readonly x: number;
  readonly y: number;
  readonly xx: number;
  readonly xy: number;
  readonly largest: number;
}

const NOTHING: Sums = { n: 0, x: 0, y: 0, xx: 0, xy: 0, largest: 0 };

/** Times of batches by their key. The first of a key is left out: what it takes to get ready comes once. */
export class BatchTimes {
  readonly #sums = new Map<string, Sums>();

  /** A batch of so many positions took so long. */
  add(key: string, cells: number, milliseconds: number): void {
    const before = this.#sums.get(key);
    this.#sums.delete(key);
    this.#sums.set(key, before ? joined(before, cells, milliseconds) : NOTHING);
    if (this.#sums.size > MAX_KEYS) this.#sums.delete(this.#sums.keys().next().value!);
  }

  /** Milliseconds that a position takes; undefined before anything is known. */
  perCell(key: string): number | undefined {
    const { x, y } = this.#sums.get(key) ?? NOTHING;
    return x > 0 ? y / x : undefined;
  }

  /**
   * Positions beyond which a larger batch makes all that is in it wait for longer and computes hardly more in a time. Until
   * batches of several sizes have shown it, and again when all have been alike for long, larger ones are tried, step by step.
   */
  worthwhileCells(key: string): number {
    const { n, x, y, xx, xy, largest } = this.#sums.get(key) ?? NOTHING;
    if (n === 0) return Infinity;
    const next = GROWTH * largest;
    const spread = n * xx - x * x;
    if (spread <= LEAST_SPREAD * x * x) return next;
    // Least squares of y = fixed + slope·x.
    const slope = (n * xy - x * y) / spread;
    const fixed = (y - slope * x) / n;
    return slope > 0 ? Math.min(next, Math.max(0, fixed / slope / FIXED_PART)) : next;
  }
}

function joined({ n, x, y, xx, xy, largest }: Sums, cells: number, milliseconds: number): Sums {
  return {
    n: n * DECAY + 1,
    x: x * DECAY + cells,
    y: y * DECAY + milliseconds,
    xx: xx * DECAY + cells * cells,
    xy: xy * DECAY + cells * milliseconds,
    largest: Math.max(largest * DECAY, cells),
  };
}
