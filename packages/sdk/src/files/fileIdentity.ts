/** @file The identity of a file's content, to detect replacement and overwriting. */

import type { BigIntStats } from '../platform/files.ts';

/** Inode, size and times of `stat` with `{ bigint: true }`. Copying tools may restore mtime, but not ctime. */
export function fileIdentity({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [ino, size, mtimeNs, ctimeNs].join(' ');
}
