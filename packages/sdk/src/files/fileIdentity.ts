/** @file What tells a file from the one that lay under its name before, or from what was written over it in place. */

import type { BigIntStats } from 'node:fs';

/**
 * Inode, size, and the times of the last change of the contents and of anything, in nanoseconds. Whoever writes into a file may
 * give it its old time of change (mtime), as `cp -p` and `rsync -t` do, but not its old ctime.
 *
 * @param stats as `stat` gives them with `{ bigint: true }`
 */
export function fileIdentity({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [ino, size, mtimeNs, ctimeNs].join(' ');
}
