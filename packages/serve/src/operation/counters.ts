/** @file Request statistics for the status page, by tenant, unlike `/metrics`. */

import { History, type Moment, type Outcome, Recent, type Spread } from './history.ts';
import type { BatchReport } from '../scheduler/options.ts';
import type { OverloadReason } from '../scheduler/overloaded.ts';
import type { AnsweredRequest } from './log.ts';

/** A stage of requests; `reading` loads adapters. */
export type Stage = 'request' | 'waiting' | 'computing' | 'reading';
export const stages: readonly Stage[] = ['request', 'waiting', 'computing', 'reading'];

export type TenantCounters = Record<Outcome, number>;

/** gRPC statuses that are the server's fault: UNKNOWN, ABORTED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
const FAILURES: ReadonlySet<number> = new Set([2, 10, 13, 14, 15]);

/** Outcome by HTTP's or gRPC's status, whose 0 is success. */
function outcomeOf({ method, status }: AnsweredRequest): Outcome {
  if (method === 'gRPC') return status === 0 ? 'answered' : FAILURES.has(status) ? 'failed' : 'refused';
  return status < 400 ? 'answered' : status < 500 ? 'refused' : 'failed';
}

/** Maximum counted tenants. */
const MOST_TENANTS = 1000;

/** Counts requests, in constant memory. */
export class Counters {
  readonly #times: Readonly<Record<Stage, Recent>> = {
    request: new Recent(),
    waiting: new Recent(),
    computing: new Recent(),
    reading: new Recent(),
  };
  readonly #sums = { count: 0, requests: 0, rows: 0, adapters: 0, padding: 0 };
  readonly #answers = new Map<string, { readonly route: string; readonly status: number; count: number }>();
  readonly #tenants = new Map<string, TenantCounters>();
  readonly #refusals = new Map<OverloadReason, number>();
  readonly #history = new History();
  #gone = 0;

  answered(request: AnsweredRequest, tenant: string): void {
    const { method, route, status, seconds } = request;
    this.took('request', seconds * 1000);
    const key = `${method} ${route}`;
    const one = this.#answers.get(`${key} ${status}`) ?? { route: key, status, count: 0 };
    one.count++;
    this.#answers.set(`${key} ${status}`, one);
    const own = this.#tenants.get(tenant) ?? { answered: 0, refused: 0, failed: 0 };
    const outcome = outcomeOf(request);
    own[outcome]++;
    // Reading requests, such as the page's, are no load.
    if (method !== 'GET') this.#history.ended(outcome, seconds * 1000);
    if (this.#tenants.has(tenant) || this.#tenants.size < MOST_TENANTS) this.#tenants.set(tenant, own);
  }

  /** Adds a duration of a stage in milliseconds. */
  took(stage: Stage, milliseconds: number): void {
    this.#times[stage].add(milliseconds);
  }

  batch({ jobs, rows, adapters, padding, waited, computed }: BatchReport): void {
    for (const each of waited) this.took('waiting', each);
    this.took('computing', computed);
    const sums = this.#sums;
    sums.count++;
    sums.requests += jobs;
    sums.rows += rows;
    sums.adapters += adapters;
    sums.padding += padding;
  }

  refused(reason: OverloadReason): void {
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + 1);
  }

  gone(): void {
    this.#gone++;
  }

  get history(): Moment[] {
    return this.#history.moments;
  }

  /** Durations by stage. */
  get times(): { readonly stage: Stage; readonly spread: Spread }[] {
    return stages.map((stage) => ({ stage, spread: this.#times[stage].spread }));
  }

  /** Means over all batches. */
  get batches(): Readonly<Record<'count' | 'requests' | 'rows' | 'adapters' | 'padding', number>> {
    const { count, requests, rows, adapters, padding } = this.#sums;
    const mean = (sum: number): number => (count === 0 ? 0 : sum / count);
    return { count, requests: mean(requests), rows: mean(rows), adapters: mean(adapters), padding: mean(padding) };
  }

  get answers(): readonly { readonly route: string; readonly status: number; readonly count: number }[] {
    return [...this.#answers.values()].sort((a, b) => b.count - a.count);
  }

  get tenants(): ReadonlyMap<string, Readonly<TenantCounters>> {
    return this.#tenants;
  }

  get refusals(): { readonly reason: OverloadReason; readonly count: number }[] {
    return [...this.#refusals].map(([reason, count]) => ({ reason, count }));
  }

  get clientsGone(): number {
    return this.#gone;
  }
}
