/** @file Holds images out by a fraction. */

import { type RecordSplit, splitRecords } from '@onnx-lora/sdk/data';
import type { ImageRecord } from './imageRecord.ts';

/** As `splitRecords`; records of one image are never divided. */
export function splitImages(records: readonly ImageRecord[], fraction: number, seed: number): RecordSplit<ImageRecord> {
  return splitRecords(records, fraction, seed, (record) => ({ ...record, key: keyOf(record) }));
}

/** What a record is sorted by. Nothing of where it stands in its manifest, nor outlines, which are long. */
function keyOf({ file, label, text, mask, points, group }: ImageRecord): string {
  return JSON.stringify([file, label, text, mask, points, group]);
}
