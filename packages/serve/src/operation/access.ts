/** @file Access control: keys by tenant, with permissions and quotas. */

import { createHash } from 'node:crypto';
import { HttpError } from '../http/errors.ts';
import type { Clock } from '../scheduler/options.ts';

/** An API key of a tenant. */
export interface KeySettings {
  /** The tenant, which may have several keys. Tenants share compute time fairly, and nothing else. */
  readonly tenant: string;
  /** Hexadecimal sha256 of the key, which settings thus do not reveal: `printf %s KEY | sha256sum`. */
  readonly sha256: string;
  /** The tenant's weight in sharing compute time; 1 by default. */
  readonly weight?: number | undefined;
  /** Quota; unlimited by default. Bursts may use a sixth of it. */
  readonly requestsPerMinute?: number | undefined;
  /** Allowed and visible adapters; a trailing `*` is a wildcard. All by default; the base always is. */
  readonly adapters?: readonly string[] | undefined;
  /** Whether it may change the server; false by default. */
  readonly admin?: boolean | undefined;
}

/** Access level of a route: anybody, any key, admin keys for monitoring (anybody without keys), admin keys. */
export type AccessLevel = 'open' | 'user' | 'watch' | 'admin';

export interface Caller {
  readonly tenant: string;
  /** Whether it may use and see an adapter. */
  mayUse(adapter: string): boolean;
}

export interface KeyHeaders {
  readonly authorization?: string | undefined;
  readonly 'x-api-key'?: string | string[] | undefined;
}

const anyone: Caller = { tenant: '', mayUse: () => true };

interface KnownKey extends Caller {
  readonly admin: boolean;
  readonly bucket: Bucket | undefined;
}

/** Checks keys. */
export class Access {
  readonly #clock: Pick<Clock, 'now'>;
  #keys: ReadonlyMap<string, KnownKey> = new Map();
  #weights: ReadonlyMap<string, number> = new Map();

  /** @param keys without any, everybody may ask, and nobody may change anything */
  constructor(keys: readonly KeySettings[], clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
    this.replace(keys);
  }

  /** Replaces the keys, and resets quotas. */
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

  weightOf(tenant: string): number {
    return this.#weights.get(tenant) ?? 1;
  }

  /** Identifies the caller. @throws HttpError 401 without a known key, 403 without permission, 429 beyond the quota */
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
    // Looked up by hash, so that timing reveals nothing of the keys.
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

/** A token bucket of at most a sixth of a minute's quota. */
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

  /** @throws HttpError 429 with the time of the next request */
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
