/** @file The state of a server, for its page and programs. */

import type { Moment, Spread } from '../../operation/history.ts';
import type { Stage } from '../../operation/counters.ts';

/** How people query the model: chat, text in a column, or files with these endings; `none` if impossible. */
export type QueryForm =
  | { readonly kind: 'chat' | 'none' }
  | { readonly kind: 'text'; readonly column: string }
  | { readonly kind: 'file'; readonly endings: readonly string[] };

/** The state of a server. */
export interface ServerStatus {
  /** Identity and uptime. */
  readonly server: {
    /** Name of the base. */
    readonly name: string;
    /** Version of the package. */
    readonly version: string;
    /** sha256 of the base's weights. */
    readonly digest: string;
    /** Whether it accepts requests. */
    readonly ready: boolean;
    /** Uptime in seconds. */
    readonly uptime: number;
  };
  /** Memory of the process. */
  readonly memory: {
    /** Resident bytes. */
    readonly resident: number;
    /** `maxMemoryBytes`, if set. */
    readonly limit: number | null;
    /** Number of loaded graphs. */
    readonly sessions: number;
  };
  /** Queued and running work. */
  readonly queue: {
    /** Queued requests. */
    readonly requests: number;
    /** Their rows. */
    readonly rows: number;
    /** Their bytes. */
    readonly bytes: number;
    /** Running batches. */
    readonly batches: number;
    /** Expected wait in milliseconds. */
    readonly wait: number;
  };
  /** The last half hour in spans of ten seconds, oldest first, without GET requests. */
  readonly history: readonly Moment[];
  /** How the page queries the model. */
  readonly asking: QueryForm;
  /** Number of batches, and their means. */
  readonly batches: Readonly<Record<'count' | 'requests' | 'rows' | 'adapters' | 'padding', number>>;
  /** Durations in milliseconds of the latest 1,024 requests or batches. */
  readonly stages: readonly { readonly stage: Stage; readonly spread: Spread }[];
  /** Number of adapters. */
  readonly adapterCount: number;
  /** At most 500 adapters, loaded ones first. */
  readonly adapters: readonly {
    readonly name: string;
    readonly version: string;
    readonly digest: string;
    readonly bytes: number;
    readonly loaded: boolean;
    readonly pinned: boolean;
    readonly current: boolean;
  }[];
  /** Split names. */
  readonly splits: readonly {
    readonly name: string;
    readonly shares: readonly { readonly to: string; readonly share: number }[];
  }[];
  /** Tenants with requests. */
  readonly tenants: readonly {
    readonly tenant: string;
    readonly weight: number;
    readonly waiting: number;
    readonly answered: number;
    /** 4xx answers. */
    readonly refused: number;
    /** 5xx answers. */
    readonly failed: number;
  }[];
  /** Numbers of answers by route and status. */
  readonly answers: readonly { readonly route: string; readonly status: number; readonly count: number }[];
  /** Requests refused before queueing. */
  readonly refusals: readonly { readonly reason: string; readonly count: number }[];
  /** Other failures. */
  readonly failures: {
    /** Clients that disconnected before the answer. */
    readonly gone: number;
  };
}
