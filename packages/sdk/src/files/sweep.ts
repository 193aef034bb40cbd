/** @file Removes temporary files of dead processes. */

import { readdirSync, rmSync, statSync } from '../platform/files.ts';
import { join } from '../platform/path.ts';
import { isLeftLock } from './fileLock.ts';
import { type Owner, ownerOfTemporary, stateOf } from './owner.ts';

/** Age in milliseconds at which files of other machines are removed. */
const DAY = 86_400_000;

/** Interval in milliseconds between sweeps of a folder, since thousands of files may be written into it. */
const INTERVAL = 60_000;
const swept = new Map<string, number>();

/** Removes temporary files of killed processes, after a write. Failures are left to the next one. */
export function sweep(folder: string): void {
  const now = performance.now();
  if (now - (swept.get(folder) ?? -Infinity) < INTERVAL) return;
  if (swept.size > 1000) swept.clear();
  swept.set(folder, now);
  try {
    for (const name of readdirSync(folder)) {
      const file = join(folder, name);
      if (isLeft(file, ownerOfTemporary(name)) || isLeftLock(file)) rmSync(file, { recursive: true, force: true });
    }
  } catch {
    swept.delete(folder);
  }
}

/** Lets the next write sweep the folder, since something may be left in it. */
export function unsweep(folder: string): void {
  swept.delete(folder);
}

function isLeft(file: string, owner: Owner | undefined): boolean {
  if (owner === undefined) return false;
  const state = stateOf(owner);
  return state === 'dead' || (state === 'elsewhere' && Date.now() - statSync(file).mtimeMs > DAY);
}
