/** @file Outcomes and durations of the last half hour, and how the latest numbers are spread: in constant memory. */

/** How a request ended: with an answer, with a refusal that is the client's affair, or with a failure of the server. */
export type Outcome = 'answered' | 'refused' | 'failed';

/** What happened in a span of time. */
export interface Moment extends Readonly<Record<Outcome, number>> {
  /** Milliseconds that its requests took, on average; 0 where there were none. */
  readonly mean: number;
}

/** Milliseconds of a span. */
export const SPAN = 10_000;
/** Spans that are kept. */
export const SPANS = 180;

interface Slot extends Record<Outcome, number> {
  /** Number of the span, since 1970. */
  span: number;
  took: number;
}

/** The latest spans. */
export class History {
  readonly #slots: Slot[] = Array.from({ length: SPANS }, () => slot(-1));
  readonly #now: () => number;

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** A request has ended, and took so many milliseconds. */
  ended(outcome: Outcome, milliseconds: number): void {
    const span = Math.floor(this.#now() / SPAN);
    const place = span % SPANS;
    if (this.#slots[place]!.span !== span) this.#slots[place] = slot(span);
    const own = this.#slots[place]!;
    own[outcome]++;
    own.took += milliseconds;
  }

  /** Spans from the oldest to the one that lasts, those without requests among them. */
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
