/** @file Temporary files that live as long as the process. */

import { rmSync } from '../platform/files.ts';
import * as path from '../platform/path.ts';
import { atExit, notAtExit, tmpdir } from '../platform/system.ts';
import { beginWork, endWork, type Owner, temporaryFor } from './owner.ts';
import { sweep } from './sweep.ts';

const files = new Map<string, Owner>();

/** Path for a temporary file, removed at the latest with the process, or after its death by another. */
export function newScratchFile(name: string): string {
  sweep(tmpdir());
  if (files.size === 0) atExit(dropAll);
  const owner = beginWork();
  const file = temporaryFor(path.join(tmpdir(), name), owner);
  files.set(file, owner);
  return file;
}

/** Deletes the file. Where a system cannot delete mapped files, it goes with the process. */
export function dropScratchFile(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    return;
  }
  const owner = files.get(file);
  if (owner !== undefined) endWork(owner);
  files.delete(file);
  if (files.size === 0) notAtExit(dropAll);
}

function dropAll(): void {
  for (const file of files.keys()) dropScratchFile(file);
}
