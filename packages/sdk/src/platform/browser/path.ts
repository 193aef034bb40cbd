/** @file Paths on a page: as on POSIX; the current folder is `/`. */

import { relative as between, resolve as joined } from 'pathe';

export { basename, dirname, extname, isAbsolute, join, normalize } from 'pathe';
export const sep = '/';

/** The absolute path of segments, from right to left until one is absolute. */
export function resolve(...segments: readonly string[]): string {
  return joined('/', ...segments);
}

/** The path from one folder to another place. */
export function relative(from: string, to: string): string {
  return between(resolve(from), resolve(to));
}
