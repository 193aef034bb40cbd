/** @file Who may ask: keys by tenant, what each of them may do, and how often. */

import { createHash } from 'node:crypto';
import { HttpError } from '../http/errors.ts';
import type { Clock } from '../scheduler/clock.ts';

/** A key that clients send, and whose it is. */
export interface KeySettings {
  /** Tenants take turns, and share nothing else; several keys may be of one. */
  readonly tenant: string;
  /** sha256 of the key in hexadecimal, so that who reads the settings has no keys: `printf %s KEY | sha256sum`. */
  readonly sha256: string;
  /** What part of the time the tenant gets, compared to that of others; 1 by default. */
  readonly weight?: number | undefined;
  /** No limit by default. A sixth of it may come at once. */
  readonly requestsPerMinute?: number | undefined;
  /** Adapters that it may use and see; a `*` at the end stands for any ending. All by default, and always the base. */
  readonly adapters?: readonly string[] | undefined;
  /** Whether it may change what is served; false by default. */
  readonly admin?: boolean | undefined;
}

/** What a route is for: anybody, who may ask, who may see all that goes on (as who may ask, where there are no keys), who may change it. */
export type AccessLevel = 'open' | 'user' | 'watch' | 'admin';

/** Who asks. */
export interface Caller {
  readonly tenant: string;
  /** Whether it may use and see an adapter. */
  mayUse(adapter: string): boolean;
}

/** Where a key is sent. */
export interface KeyHeaders {
  readonly authorization?: string | undefined;
  readonly 'x-api-key'?: string | string[] | undefined;
}

/** Callers of a server without keys. */
const anyone: Caller = { tenant: '', mayUse: () => true };

interface KnownKey extends Caller {
  readonly admin: boolean;
  readonly bucket: Bucket | undefined;
}

/** Decides who may ask. */
export class Access {
  readonly #clock: Pick<Clock, 'now'>;
  #keys: ReadonlyMap<string, KnownKey> = new Map();
  #weights: ReadonlyMap<string, number> = new Map();

  /** @param keys none lets everybody ask, and nobody change anything */
  constructor(keys: readonly KeySettings[], clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
    this.replace(keys);
  }

  /** Has other keys from now on; what was saved up of quotas begins anew. */
  replace(keys: readonly KeySettings[]): void {
    const buckets = new Map<string, Bucket>();
    this.#weights = new Map(keys.map(({ tenant, weight = 1 }) => [tenant, weight]));
    this.#keys = new Map(
      keys.map(({ tenant, sha256, requestsPerMinute, adapters, admin = false }) => {
        if (requestsPerMinute !== undefined && !buckets.has(tenant))
          buckets.set(tenant, new Bucket(requestsPerMinute, this.#clock));
        const mayUse = (adapter: string): boolean => adapters?.some((each) => matches(each, adapter)) ?? true;
        return [sha256.toLowerCase(), { tenant, admin, mayUse, bucket: buckets.get(tenant) }];
      }),
    );
  }

  /** What part of the time a tenant gets. */
  weightOf(tenant: string): number {
    return this.#weights.get(tenant) ?? 1;
  }

  /**
   * Who asks.
   *
   * @throws HttpError 401 without a key that is known, 403 for what it may not do, 429 beyond its quota
   */
  caller(headers: KeyHeaders, level: AccessLevel): Caller {
    if (level === 'open') return anyone;
    if (level === 'admin' && ![...this.#keys.values()].some(({ admin }) => admin))
      throw new HttpError(
        403,
        'FORBIDDEN',
        'This server has no key that may change it. Start it with one: keys with admin: true.',
      );
    if (this.#keys.size === 0) return anyone;
    const sent = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? headers['x-api-key'];
    // By the hash of what was sent: how long a look-up takes tells nothing of the keys.
    const known =
      typeof sent === 'string' ? this.#keys.get(createHash('sha256').update(sent).digest('hex')) : undefined;
    if (!known)
      throw new HttpError(401, 'UNAUTHORIZED', 'No key that is known here. Send it: "Authorization: Bearer KEY".');
    if (level !== 'user' && !known.admin)
      throw new HttpError(
        403,
        'FORBIDDEN',
        `This key may ask, and not ${level === 'admin' ? 'change what is served' : 'see what others do'}. Use one with admin: true.`,
      );
    known.bucket?.take();
    return known;
  }
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

/** How often a tenant may ask: what it leaves is saved up, to a sixth of a minute. */
class Bucket {
  readonly #perMinute: number;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #most: number;
  #left: number;
  #at: number;

  constructor(perMinute: number, clock: Pick<Clock, 'now'>) {
    this.#perMinute = perMinute;
    this.#clock = clock;
    this.#most = Math.max(1, perMinute / 6);
    this.#left = this.#most;
    this.#at = clock.now();
  }

  /** @throws HttpError 429 that says when the next one may come */
  take(): void {
    const now = this.#clock.now();
    this.#left = Math.min(this.#most, this.#left + ((now - this.#at) * this.#perMinute) / 60_000);
    this.#at = now;
    if (this.#left < 1) {
      const seconds = Math.max(1, Math.ceil(((1 - this.#left) * 60) / this.#perMinute));
      throw new HttpError(
        429,
        'OVERLOADED',
        `This key may ask ${this.#perMinute} times a minute. Ask again after ${seconds} s.`,
        seconds,
      );
    }
    this.#left--;
  }
}
