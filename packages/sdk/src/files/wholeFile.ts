/** @file Writes single files so that a reader, or a crash, never meets half of one. */

import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OnnxLoraError } from '../errors.ts';
import { beginWork, endWork, temporaryFor } from './owner.ts';
import { sweep, unsweep } from './sweep.ts';

/**
 * Writes a file so that its path holds either the old content or all of the new: a temporary file in the same folder
 * is written and flushed to the disk, then renamed. Missing folders are made; a failure leaves no temporary file, and what a
 * killed process has left goes with the next one that is written.
 *
 * @throws OnnxLoraError `FILE_INVALID` when the system refuses (rights, a full disk, a folder at that path).
 */
export async function writeFileAtomic(path: string, data: Uint8Array | string): Promise<void> {
  const owner = beginWork();
  const temporary = temporaryFor(path, owner);
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFlushed(temporary, data);
    await rename(temporary, path);
    await flushFolder(dirname(path));
    sweep(dirname(path));
  } catch (cause) {
    await discard(temporary);
    throw writeFailed(path, cause);
  } finally {
    endWork(owner);
  }
}

/** Writes a new file and waits until the disk has it. */
export async function writeFlushed(path: string, data: Uint8Array | string): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(data);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes renames in a folder survive a power cut, where the system lets a folder be opened (Windows does not). */
export async function flushFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what may be there; that it cannot is never worth hiding the error that led here. */
export async function discard(path: string): Promise<void> {
  unsweep(dirname(path));
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

/** What a user is told of a file that could not be written. */
export function writeFailed(path: string, cause: unknown): OnnxLoraError {
  if (cause instanceof OnnxLoraError) return cause;
  return new OnnxLoraError(
    'FILE_INVALID',
    `"${path}" could not be written: ${(cause as Error).message}. Check the path, its rights and the free space.`,
    { cause },
  );
}

/**
 * Refuses to write over files, where that is wanted, before any work.
 *
 * @throws OnnxLoraError `FILE_INVALID` for a file that is there
 */
export function requireUnused(
  files: readonly string[],
  { overwrite }: { readonly overwrite?: boolean | undefined },
): void {
  if (overwrite !== false) return;
  const found = files.find((file) => existsSync(file));
  if (found === undefined) return;
  throw new OnnxLoraError(
    'FILE_INVALID',
    `"${found}" is there already. Name another place, or replace it (overwrite: true; --overwrite).`,
  );
}
