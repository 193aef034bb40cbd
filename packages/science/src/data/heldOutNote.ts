/** @file What a user is told of the held-out sequences. */

import type { SequenceData } from './sequenceRecord.ts';

/** How many sequences are for what, and how that was chosen. */
export function heldOutNote({ train, validation, test, splitBy }: SequenceData): string {
  const parts = [
    `${train.length} sequence${train.length === 1 ? '' : 's'} to train on`,
    ...(validation ? [`${validation.length} held out`] : []),
    ...(test && test.length > 0 ? [`${test.length} kept for testing`] : []),
  ];
  return `${parts.join(', ')}${splitBy === undefined ? '' : ` (${splitBy})`}`;
}
