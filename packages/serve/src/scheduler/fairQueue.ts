/** @file A weighted fair queue of tenants, with priorities within each. */

export interface Waiting {
  readonly tenant: string;
  /** Priority within its tenant, from 0 to 9, higher first. */
  readonly priority: number;
  /** Arrival in milliseconds. */
  readonly since: number;
  /** Entries of one kind cost the same per position. */
  readonly like: string;
  readonly cells: number;
  readonly rows: number;
  readonly bytes: number;
}

/** Queued load of a tenant, or of all. */
export interface Load {
  /** Number of queued jobs. */
  readonly jobs: number;
  /** Their rows. */
  readonly rows: number;
  /** Their bytes. */
  readonly bytes: number;
}

/** Milliseconds of waiting that outweigh one priority. */
const STEP_OF_PRIORITY = 1000;

interface Tenant<Entry> {
  /** Most urgent first. */
  readonly entries: Entry[];
  readonly weight: number;
  /** Weighted service since it was last idle without a lead. */
  served: number;
  /** Queued positions by kind. */
  readonly cells: Map<string, number>;
  rows: number;
  bytes: number;
}

/**
 * Weighted fair queueing: the tenant with the least service is next. While two tenants wait, their service differs by
 * at most one request each and the lead, regardless of number and size. A newly active tenant has the lead over waiting
 * ones, so that occasional requests are answered before a constant load. Service is remembered until others have caught
 * up, so that the lead is not had twice.
 */
export class FairQueue<Entry extends Waiting> {
  readonly #tenants = new Map<string, Tenant<Entry>>();
  readonly #price: (like: string) => number;
  readonly #weightOf: (tenant: string) => number;
  readonly #lead: number;
  /** Least service among waiting tenants. */
  #level = 0;
  #jobs = 0;
  #rows = 0;
  #bytes = 0;

  /**
   * @param price current milliseconds per position of a kind
   * @param weightOf weight of a tenant; above 0
   * @param lead milliseconds, at weight 1, that a newly active tenant may use before it is even with others
   */
  constructor(price: (like: string) => number, weightOf: (tenant: string) => number = () => 1, lead = 0) {
    this.#price = price;
    this.#weightOf = weightOf;
    this.#lead = lead;
  }

  get load(): Load {
    return { jobs: this.#jobs, rows: this.#rows, bytes: this.#bytes };
  }

  loadOf(name: string): Load {
    const { entries, rows, bytes } = this.#tenants.get(name) ?? { entries: [], rows: 0, bytes: 0 };
    return { jobs: entries.length, rows, bytes };
  }

  *[Symbol.iterator](): Generator<Entry> {
    for (const { entries } of this.#tenants.values()) yield* entries;
  }

  add(entry: Entry): void {
    const tenant = this.#tenants.get(entry.tenant) ?? {
      entries: [],
      weight: this.#weightOf(entry.tenant),
      served: -Infinity,
      cells: new Map(),
      rows: 0,
      bytes: 0,
    };
    this.#tenants.set(entry.tenant, tenant);
    if (tenant.entries.length === 0) tenant.served = Math.max(tenant.served, this.#start);
    const rank = rankOf(entry);
    const place = tenant.entries.findLastIndex((other) => rankOf(other) <= rank);
    tenant.entries.splice(place + 1, 0, entry);
    this.#count(tenant, entry, 1);
  }

  /** Removes an entry without charging it; false if absent. */
  remove(entry: Entry): boolean {
    const tenant = this.#tenants.get(entry.tenant);
    const place = tenant?.entries.indexOf(entry) ?? -1;
    if (place === -1) return false;
    this.#takeOut(tenant!, place);
    return true;
  }

  /** Takes the next entry that `fits` accepts, and charges its tenant. */
  take(fits: (entry: Entry) => boolean = () => true): Entry | undefined {
    let next: { readonly tenant: Tenant<Entry>; readonly place: number } | undefined;
    let level = Infinity;
    for (const tenant of this.#tenants.values()) {
      if (tenant.entries.length > 0) level = Math.min(level, tenant.served);
      if (next && next.tenant.served <= tenant.served) continue;
      const place = tenant.entries.findIndex(fits);
      if (place !== -1) next = { tenant, place };
    }
    if (!next) return undefined;
    this.#level = Math.max(this.#level, level);
    const { tenant, place } = next;
    const entry = tenant.entries[place]!;
    tenant.served += (entry.cells * this.#price(entry.like)) / tenant.weight;
    this.#takeOut(tenant, place);
    return entry;
  }

  /** Milliseconds of work ahead of a new request of this tenant and cost. */
  ahead(name: string, cost: number): number {
    const own = this.#tenants.get(name);
    const before = own ? this.#cost(own) : 0;
    const weight = own?.weight ?? this.#weightOf(name);
    const end = Math.max(own?.served ?? -Infinity, this.#start) + (before + cost) / weight;
    let sum = before;
    for (const other of this.#tenants.values()) {
      if (other !== own) sum += Math.min(this.#cost(other), Math.max(0, end - other.served) * other.weight);
    }
    return sum;
  }

  /** Initial service of a newly active tenant. */
  get #start(): number {
    return this.#level - this.#lead;
  }

  #cost({ cells }: Tenant<Entry>): number {
    let sum = 0;
    for (const [like, count] of cells) sum += count * this.#price(like);
    return sum;
  }

  #takeOut(tenant: Tenant<Entry>, place: number): void {
    const [entry] = tenant.entries.splice(place, 1);
    this.#count(tenant, entry!, -1);
    for (const [name, { entries, served }] of this.#tenants) {
      const isNew = this.#jobs === 0 || served <= this.#start;
      if (entries.length === 0 && isNew) this.#tenants.delete(name);
    }
    if (this.#jobs === 0) this.#level = 0;
  }

  #count(tenant: Tenant<Entry>, { like, cells, rows, bytes }: Entry, sign: 1 | -1): void {
    const left = (tenant.cells.get(like) ?? 0) + sign * cells;
    if (left === 0) tenant.cells.delete(like);
    else tenant.cells.set(like, left);
    tenant.rows += sign * rows;
    tenant.bytes += sign * bytes;
    this.#jobs += sign;
    this.#rows += sign * rows;
    this.#bytes += sign * bytes;
  }
}

/** Arrival adjusted by priority. */
function rankOf({ since, priority }: Waiting): number {
  return since - priority * STEP_OF_PRIORITY;
}
