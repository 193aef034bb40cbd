/** @file Records of data as variants. */

import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { Variant } from '../../variants/variant.ts';

/** A record as a variant, which messages name by its place in the data. */
export function variantOf({ where, sequence, substitutions }: SequenceRecord): Variant {
  return { id: where, sequence, ...(substitutions ? { substitutions } : {}) };
}
