/** @file Learns the duration of batches. */

/** Weight of a batch relative to the next one. */
const DECAY = 0.95;
/** Batches grow until their fixed cost is this fraction of the rest. */
const FIXED_PART = 0.1;
/** Minimum variance of sizes over their squared mean for a fit. */
const LEAST_SPREAD = 0.01;
/** A batch may exceed the decaying largest one by this factor: too large ones block everybody. */
const GROWTH = 2;
/** Maximum keys, which depend on clients. */
const MAX_KEYS = 1000;

/** Weighted sums over batches of x positions and y milliseconds. */
interface Sums {
  readonly n: number;
  readonly x: number;
  readonly y: number;
  readonly xx: number;
  readonly xy: number;
  readonly largest: number;
}

const NOTHING: Sums = { n: 0, x: 0, y: 0, xx: 0, xy: 0, largest: 0 };

/** Durations by key. The first batch is ignored for its set-up cost. */
export class BatchTimes {
  readonly #sums = new Map<string, Sums>();

  add(key: string, cells: number, milliseconds: number): void {
    const before = this.#sums.get(key);
    this.#sums.delete(key);
    this.#sums.set(key, before ? joined(before, cells, milliseconds) : NOTHING);
    if (this.#sums.size > MAX_KEYS) this.#sums.delete(this.#sums.keys().next().value!);
  }

  /** Milliseconds per position; undefined if unknown. */
  perCell(key: string): number | undefined {
    const { x, y } = this.#sums.get(key) ?? NOTHING;
    return x > 0 ? y / x : undefined;
  }

  /** Positions beyond which larger batches gain little throughput; grows step by step until sizes vary. */
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
