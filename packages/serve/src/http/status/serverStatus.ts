/** @file What a server tells of its state, to people by a page and to programs. */

import type { Moment, Spread } from '../../operation/history.ts';
import type { Stage } from '../../operation/tallies.ts';

/** How a person asks a model: by a conversation, by a text of a column, or by files with these endings; undefined where nobody can. */
export type Asking =
  | { readonly kind: 'chat' | 'none' }
  | { readonly kind: 'text'; readonly column: string }
  | { readonly kind: 'file'; readonly endings: readonly string[] };

/** The state of a server. */
export interface ServerStatus {
  /** What it is, and since when. */
  readonly server: {
    /** What the base is called. */
    readonly name: string;
    /** Of the package. */
    readonly version: string;
    /** sha256 of the base's weights. */
    readonly digest: string;
    /** Whether it takes requests. */
    readonly ready: boolean;
    /** Seconds. */
    readonly uptime: number;
  };
  /** What the process has. */
  readonly memory: {
    /** Bytes of the process. */
    readonly resident: number;
    /** `maxMemoryBytes`, where it is set. */
    readonly limit: number | null;
    /** Graphs that are loaded. */
    readonly sessions: number;
  };
  /** What waits, and what computes. */
  readonly queue: {
    /** That wait. */
    readonly requests: number;
    /** Of these. */
    readonly rows: number;
    /** That they hold. */
    readonly bytes: number;
    /** Batches that compute. */
    readonly batches: number;
    /** Milliseconds that a request would wait now. */
    readonly wait: number;
  };
  /** Spans of ten seconds of the last half hour, the oldest first; of requests that have something done. */
  readonly history: readonly Moment[];
  /** How the model is asked by the page. */
  readonly asking: Asking;
  /** How many there were, and means of all of them. */
  readonly batches: Readonly<Record<'count' | 'requests' | 'rows' | 'adapters' | 'padding', number>>;
  /** Milliseconds of the latest 1,024 requests, or batches. */
  readonly stages: readonly { readonly stage: Stage; readonly spread: Spread }[];
  /** Adapters that there are. */
  readonly adapterCount: number;
  /** 500 of them at most, those in memory first. */
  readonly adapters: readonly {
    readonly name: string;
    readonly version: string;
    readonly digest: string;
    readonly bytes: number;
    /** Whether it is in memory. */
    readonly loaded: boolean;
    readonly pinned: boolean;
    /** Whether the name stands for it. */
    readonly current: boolean;
  }[];
  /** Names whose requests are split. */
  readonly splits: readonly {
    readonly name: string;
    readonly shares: readonly { readonly to: string; readonly share: number }[];
  }[];
  /** Those who have asked. */
  readonly tenants: readonly {
    readonly tenant: string;
    readonly weight: number;
    readonly waiting: number;
    readonly answered: number;
    /** Refused: 4xx. */
    readonly refused: number;
    /** Failures of the server: 5xx. */
    readonly failed: number;
  }[];
  /** How many there were, by route and status. */
  readonly answers: readonly { readonly route: string; readonly status: number; readonly count: number }[];
  /** Requests that were refused before they waited. */
  readonly refusals: readonly { readonly reason: string; readonly count: number }[];
  /** What else went wrong. */
  readonly failures: {
    /** Clients that had gone before the answer. */
    readonly gone: number;
  };
}
