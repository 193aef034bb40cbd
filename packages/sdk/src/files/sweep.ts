/** @file Removes what a dead process has left beside files that it was writing. */

import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isLeftLock } from './fileLock.ts';
import { type Owner, ownerOfTemporary, stateOf } from './owner.ts';

/** What another machine has left is removed when it is a day old. */
const DAY = 86_400_000;

/** A folder is looked through once in so many milliseconds: thousands of files may be written into it. */
const INTERVAL = 60_000;
const swept = new Map<string, number>();

/**
 * Removes from a folder what processes have left there that were killed while they wrote. Called when something has been
 * written; what goes wrong is left to the next who does.
 */
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

/** Something went wrong in a folder: there may be something to remove. */
export function unsweep(folder: string): void {
  swept.delete(folder);
}

function isLeft(file: string, owner: Owner | undefined): boolean {
  if (owner === undefined) return false;
  const state = stateOf(owner);
  return state === 'dead' || (state === 'elsewhere' && Date.now() - statSync(file).mtimeMs > DAY);
}
