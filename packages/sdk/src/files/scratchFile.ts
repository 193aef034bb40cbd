/** @file Files in the system's temporary folder that are needed as long as a process reads them. */

import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beginWork, endWork, type Owner, temporaryFor } from './owner.ts';
import { sweep } from './sweep.ts';

const files = new Map<string, Owner>();

/**
 * A path for a new file, which goes with the process at the latest. What a process leaves that is killed, the next one removes.
 *
 * @param name says whose it is
 */
export function newScratchFile(name: string): string {
  sweep(tmpdir());
  if (files.size === 0) process.on('exit', dropAll);
  const owner = beginWork();
  const file = temporaryFor(path.join(tmpdir(), name), owner);
  files.set(file, owner);
  return file;
}

/** Deletes it. Where a system does not delete what is mapped, it goes with the process. */
export function dropScratchFile(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    return;
  }
  const owner = files.get(file);
  if (owner !== undefined) endWork(owner);
  files.delete(file);
  if (files.size === 0) process.removeListener('exit', dropAll);
}

function dropAll(): void {
  for (const file of files.keys()) dropScratchFile(file);
}
