/** @file Rows whose attention is trained in groups. */

import { type Feeds, int64, OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceInput } from '@onnx-lora/sequences';
import type { TaughtRow, TeachingRules } from './taughtRows.ts';

/**
 * Rules for rows that have whole groups where they have several.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for groups that do not fit, and for packed rows
 */
export function groupedRules(rules: TeachingRules, group: number, packing: boolean): TeachingRules {
  const count = Math.floor(rules.most / group);
  if (!packing && group % 2 === 0 && count >= 2) return { ...rules, most: count * group };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    packing
      ? 'Packed rows are not trained in groups, which would cut conversations anywhere. Leave out packing or attentionGroups.'
      : `attentionGroups must be an even number of tokens of which several fit into maxLength, ${rules.most}, but it is ${group}. Take a quarter of it.`,
  );
}

/**
 * Feeds of rows that are trained on, in groups where there are such. Padding stands behind, where no token reads it; it must not be
 * hidden from itself, or there would be groups in which there is nothing to read.
 */
export function groupedFeeds(input: SequenceInput, rows: readonly TaughtRow[], most: number, group?: number): Feeds {
  const fed = input.feeds(rows, most, group);
  const { mask } = input.ports;
  const own = mask === undefined ? undefined : fed[mask];
  if (group === undefined || mask === undefined || !own) return fed;
  const ones = new Int32Array(own.data.length).fill(1);
  return { ...fed, [mask]: own.type === 'int32' ? { type: 'int32', dims: own.dims, data: ones } : int64(Array.from(ones), own.dims) }; // prettier-ignore
}
