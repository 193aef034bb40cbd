/** @file Outcomes and durations of the last half hour, and percentiles of the latest numbers, in constant memory. */

/** How a request ended: answered, refused by the client's fault, or failed by the server's. */
export type Outcome = 'answered' | 'refused' | 'failed';

/** Requests in a span of time. */
export interface Moment extends Readonly<Record<Outcome, number>> {
  /** Mean duration in milliseconds; 0 without requests. */
  readonly mean: number;
}

/** Length of a span in milliseconds. */
export const SPAN = 10_000;
export const SPANS = 180;

interface Slot extends Record<Outcome, number> {
  /** Index of the span since 1970. */
  span: number;
  took: number;
}

export class History {
  readonly #slots: Slot[] = Array.from({ length: SPANS }, () => slot(-1));
  readonly #now: () => number;

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  ended(outcome: Outcome, milliseconds: number): void {
    const span = Math.floor(this.#now() / SPAN);
    const place = span % SPANS;
    if (this.#slots[place]!.span !== span) this.#slots[place] = slot(span);
    const own = this.#slots[place]!;
    own[outcome]++;
    own.took += milliseconds;
  }

  /** All spans, oldest first, including empty ones. */
  get moments(): Moment[] {
    const last = Math.floor(this.#now() / SPAN);
    return Array.from({ length: SPANS }, (_, i) => {
      const span = last - SPANS + 1 + i;
      const kept = this.#slots[((span % SPANS) + SPANS) % SPANS]!;
      const { answered, refused, failed, took } = kept.span === span ? kept : slot(span);
      const count = answered + refused + failed;
      return { answered, refused, failed, mean: count === 0 ? 0 : took / count };
    });
  }
}

function slot(span: number): Slot {
  return { span, answered: 0, refused: 0, failed: 0, took: 0 };
}

const KEPT = 1024;

/** Statistics of numbers. */
export interface Spread {
  /** Number of all values. */
  readonly count: number;
  /** Mean of the latest 1,024 values, as the following. */
  readonly mean: number;
  /** Median. */
  readonly p50: number;
  /** 95th percentile. */
  readonly p95: number;
  /** 99th percentile. */
  readonly p99: number;
}

/** The latest 1,024 numbers. */
export class Recent {
  readonly #values = new Float64Array(KEPT);
  #count = 0;

  add(value: number): void {
    this.#values[this.#count++ % KEPT] = value;
  }

  /** Nearest-rank percentiles; 0 without values. */
  get spread(): Spread {
    const kept = this.#values.slice(0, Math.min(this.#count, KEPT)).sort();
    const at = (part: number): number => kept[Math.max(0, Math.ceil(part * kept.length) - 1)] ?? 0;
    const mean = kept.length === 0 ? 0 : kept.reduce((sum, each) => sum + each, 0) / kept.length;
    return { count: this.#count, mean, p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  }
}
