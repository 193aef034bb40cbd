/** @file How the latest of many numbers are spread: exact, in constant memory, and about now rather than since the start. */

const KEPT = 1024;

/** How numbers are spread. */
export interface Spread {
  /** All that have come. */
  readonly count: number;
  /** Mean of the latest, which all that follows is of. */
  readonly mean: number;
  /** Half of them are no larger. */
  readonly p50: number;
  /** 95 of 100 are no larger. */
  readonly p95: number;
  /** 99 of 100 are no larger. */
  readonly p99: number;
}

/** The latest 1,024 numbers. */
export class Recent {
  readonly #values = new Float64Array(KEPT);
  #count = 0;

  /** Takes the place of the oldest. */
  add(value: number): void {
    this.#values[this.#count++ % KEPT] = value;
  }

  /** Nearest-rank percentiles: each is a number that has come. 0 where none has. */
  get spread(): Spread {
    const kept = this.#values.slice(0, Math.min(this.#count, KEPT)).sort();
    const at = (part: number): number => kept[Math.max(0, Math.ceil(part * kept.length) - 1)] ?? 0;
    const mean = kept.length === 0 ? 0 : kept.reduce((sum, each) => sum + each, 0) / kept.length;
    return { count: this.#count, mean, p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  }
}
