/** @file Options and report of the frozen prefix. */

import type { PrefixRoom } from './split.ts';

/** How values of the frozen prefix are kept. */
export interface PrefixOptions extends PrefixRoom {
  /** Folder of the file that stores them; by default they are in memory. */
  readonly folder?: string;
}

/** Outcome of the frozen prefix. */
export type PrefixReport =
  | {
      readonly kept: true;
      /** Number of operators that run once per example. */
      readonly nodes: number;
      /** Their estimated share of the forward pass, 0 to 1. */
      readonly share: number;
      /** Bytes kept per example. */
      readonly bytesPerExample: number;
      /** Whether values are in memory or in a file. */
      readonly where: 'memory' | 'file';
    }
  | {
      readonly kept: false;
      /** Why nothing is kept, as a clause. */
      readonly reason: string;
    };
