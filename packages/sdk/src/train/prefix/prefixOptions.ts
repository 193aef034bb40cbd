/** @file What a caller decides about the frozen prefix, and what it is told of it. */

import type { PrefixRoom } from './split.ts';

/** How values of the frozen prefix are kept. */
export interface PrefixOptions extends PrefixRoom {
  /** Folder of a file that they are kept in; in memory without one. */
  readonly folder?: string;
}

/** What became of the frozen prefix. */
export type PrefixReport =
  | {
      readonly kept: true;
      /** Operators that run once for each example. */
      readonly nodes: number;
      /** The part of the forward pass that they are, 0 to 1, estimated. */
      readonly share: number;
      /** What is kept of one example. */
      readonly bytesPerExample: number;
      /** Whether it is kept in memory or in a file. */
      readonly where: 'memory' | 'file';
    }
  | {
      readonly kept: false;
      /** Why nothing is kept, as a clause. */
      readonly reason: string;
    };
