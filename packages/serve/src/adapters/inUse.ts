/** @file What cannot be deleted since something needs it. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { State } from './manifest.ts';
import type { Version } from './versions.ts';

/**
 * Refuses to delete versions of a name that are pinned or that requests are split between.
 *
 * @param areAll whether the name has no others
 * @throws OnnxLoraError `INPUT_INVALID`
 */
export function requireUnused(gone: readonly Version[], areAll: boolean, { pinned, splits }: State): void {
  const kept = gone.find(({ key }) => pinned.includes(key));
  if (kept) throw inUse(kept, 'it is pinned. Unpin it first.');
  for (const [split, shares] of Object.entries(splits)) {
    for (const { name = split, version } of shares) {
      const used = gone.find(
        (each) => each.name === name && (version === undefined ? areAll : version === each.version),
      );
      if (used) throw inUse(used, `requests for "${split}" are split between it and others. Change the split first.`);
    }
  }
}

function inUse({ name, version }: Version, why: string): OnnxLoraError {
  return new OnnxLoraError('INPUT_INVALID', `"${name}" of version "${version}" cannot be deleted: ${why}`);
}
