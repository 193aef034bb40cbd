/** @file What one file of sequences holds, before its letters are checked. */

import type { Alphabet, SequenceRecord } from './sequenceRecord.ts';

/** The records of one file. */
export interface SequencePart {
  /** With sequences as the file spells them. */
  readonly records: readonly SequenceRecord[];
  readonly valueNames?: readonly string[] | undefined;
  readonly wildType?: string | undefined;
  /** What the letters stand for, where the file says it. */
  readonly alphabet?: Alphabet | undefined;
  /** What divides the records into splits, in words: `the column "sampled"`. */
  readonly splitBy?: string | undefined;
  /** Columns of a table, for messages. */
  readonly columns?: {
    readonly sequence?: string | undefined;
    readonly second?: string | undefined;
    readonly residues?: string | undefined;
    readonly id?: string | undefined;
  };
  readonly warnings: readonly string[];
}
