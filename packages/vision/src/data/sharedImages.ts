/** @file Finds images, and groups of them, that are in more than one split. */

import { filesInTwoSplits, sharedBetweenSplits, sharedWarning } from '@onnx-lora/sdk';
import type { ImageRecord } from './imageRecord.ts';

/**
 * Warnings about files of the same bytes, and groups of the same name, that are in two of the lists. Files that cannot be read are
 * passed over.
 */
export async function sharedImages(
  splits: readonly (readonly ImageRecord[])[],
  findDuplicates = true,
): Promise<string[]> {
  const sameFiles = findDuplicates ? await filesInTwoSplits(splits, ({ file }) => file) : [];
  const sameGroups = sharedBetweenSplits(splits, ({ group }) => group);
  return [
    ...sharedWarning(sameFiles, 'images are', ([[first], [second]]) => `"${first!.file}" and "${second!.file}"`),
    ...sharedWarning(sameGroups, 'groups are', ([[first]]) => `"${first!.group}"`),
  ];
}
