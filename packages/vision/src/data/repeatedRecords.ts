/** @file Finds records that say the same again, or the contrary. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ImageRecord } from './imageRecord.ts';

/**
 * The records without those that say the same as one before. An image may come again with another caption, mask, point or box.
 *
 * @throws OnnxLoraError `DATA_INVALID` for an image that comes again with nothing but another label, value or split
 */
export function withoutRepeated(records: readonly ImageRecord[]): {
  readonly records: readonly ImageRecord[];
  readonly warnings: readonly string[];
} {
  const files = new Set<string>();
  const twice = new Set<string>();
  for (const { file } of records) (files.has(file) ? twice : files).add(file);
  const seen = new Map<string, ImageRecord>();
  const repeated: ImageRecord[] = [];
  let firstPlace = '';
  const kept = records.filter((record) => {
    const { file, text, mask, objects, points } = record;
    // Outlines make long keys.
    if (!twice.has(file)) return true;
    const key = JSON.stringify([file, text, mask, objects, points]);
    const before = seen.get(key);
    if (!before) {
      seen.set(key, record);
      return true;
    }
    if (!isSame(before, record)) throw contradiction(before, record);
    if (repeated.length === 0) firstPlace = before.place;
    repeated.push(record);
    return false;
  });
  const [first] = repeated;
  return {
    records: kept,
    warnings: first
      ? [`${first.place}: it says the same as ${firstPlace}. ${repeated.length} such lines are left out.`]
      : [],
  };
}

function isSame(a: ImageRecord, b: ImageRecord): boolean {
  return (['label', 'labels', 'values', 'group', 'split'] as const).every(
    (name) => JSON.stringify(a[name]) === JSON.stringify(b[name]),
  );
}

function contradiction(before: ImageRecord, record: ImageRecord): OnnxLoraError {
  const both = before.label !== undefined && record.label !== undefined && before.label !== record.label;
  return new OnnxLoraError(
    'DATA_INVALID',
    both
      ? `${record.place}: "${record.file}" has the label "${record.label}", but "${before.label}" at ${before.place}. Correct one of them; for several labels per image, list them in one line: a column "labels" with "${before.label}|${record.label}".`
      : `${record.place}: "${record.file}" is also at ${before.place}, with something else said of it. Remove one of them.`,
  );
}
