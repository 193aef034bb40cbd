/** @file The labels of a record, however it says them. */

import type { ImageRecord } from './imageRecord.ts';

/** One label, or any number of them. */
export function labelsOfRecord({ label, labels }: ImageRecord): readonly string[] {
  return label === undefined ? (labels ?? []) : [label];
}
