/** @file Who waits, and who is next: tenants take turns by what they cost, and of each the most urgent goes first. */

/** Something that waits. */
export interface Waiting {
  /** Whose it is. */
  readonly tenant: string;
  /** Of one tenant's the higher go first, from 0 to 9. */
  readonly priority: number;
  /** When it came, in milliseconds. */
  readonly since: number;
  /** What it is like: by this it is known what a position costs. */
  readonly like: string;
  /** Positions that it has computed. */
  readonly cells: number;
  /** Rows that it has. */
  readonly rows: number;
  /** Bytes that it holds. */
  readonly bytes: number;
}

/** What a tenant or all of them have waiting. */
export interface Load {
  /** How many wait. */
  readonly jobs: number;
  /** Their rows. */
  readonly rows: number;
  /** Bytes that they hold. */
  readonly bytes: number;
}

/** Nobody waits for longer behind one priority more: so much earlier it counts as having come. */
const STEP_OF_PRIORITY = 1000;

interface Tenant<Entry> {
  /** The most urgent first. */
  readonly entries: Entry[];
  readonly weight: number;
  /** What it has had, by its weight, since it last had nothing to wait for and no lead over others. */
  served: number;
  /** Positions that wait, by what they are like. */
  readonly cells: Map<string, number>;
  rows: number;
  bytes: number;
}

/**
 * Weighted fair queueing. The tenant goes next that has had least, so that over any time in which two of them wait, what they get
 * differs by no more than one request of each and the lead, whatever their number and size. Who comes anew has the lead over those
 * who wait, so that who asks for little has its requests answered before those of one who always wants more. What a tenant had
 * while others waited is remembered until they have caught up, so that the lead is not had twice.
 */
export class FairQueue<Entry extends Waiting> {
  readonly #tenants = new Map<string, Tenant<Entry>>();
  readonly #price: (like: string) => number;
  readonly #weightOf: (tenant: string) => number;
  readonly #lead: number;
  /** What those have had at least that wait. */
  #level = 0;
  #jobs = 0;
  #rows = 0;
  #bytes = 0;

  /**
   * @param price what a position costs now, in milliseconds; it may be known better later
   * @param weightOf what part of the time a tenant gets, compared to that of others; above 0
   * @param lead milliseconds, at a weight of 1, that one who comes anew may have before it is even with those who wait
   */
  constructor(price: (like: string) => number, weightOf: (tenant: string) => number = () => 1, lead = 0) {
    this.#price = price;
    this.#weightOf = weightOf;
    this.#lead = lead;
  }

  /** What waits altogether. */
  get load(): Load {
    return { jobs: this.#jobs, rows: this.#rows, bytes: this.#bytes };
  }

  /** What waits of a tenant. */
  loadOf(name: string): Load {
    const { entries, rows, bytes } = this.#tenants.get(name) ?? { entries: [], rows: 0, bytes: 0 };
    return { jobs: entries.length, rows, bytes };
  }

  /** All that waits. */
  *[Symbol.iterator](): Generator<Entry> {
    for (const { entries } of this.#tenants.values()) yield* entries;
  }

  /** Lets it wait. */
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

  /** Has it wait no more, at no cost; false where it did not wait. */
  remove(entry: Entry): boolean {
    const tenant = this.#tenants.get(entry.tenant);
    const place = tenant?.entries.indexOf(entry) ?? -1;
    if (place === -1) return false;
    this.#takeOut(tenant!, place);
    return true;
  }

  /** The next one, or the next of those that `fits` accepts. It is charged to its tenant. */
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

  /** Milliseconds of work that are done before a request of this tenant, if it came now and costs so many. */
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

  /** What a tenant counts as having had that comes anew. */
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

/** When it counts as having come, so that waiting makes up for priority. */
function rankOf({ since, priority }: Waiting): number {
  return since - priority * STEP_OF_PRIORITY;
}
