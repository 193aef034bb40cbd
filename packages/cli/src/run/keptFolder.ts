/** @file The folder of resumable work: a sweep, or continual learning. */

import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { FileLock } from '@onnx-lora/sdk/core';
import { makeFolder } from '@onnx-lora/sdk/data';
import { usageError } from '../terminal/errors.ts';

export interface KeptFolder {
  readonly path: string;
  /** Its noun in messages: `sweep`. */
  readonly noun: string;
  /** The file that identifies it. */
  readonly journal: string;
  readonly lock: string;
  /** Everything put into it, which `--overwrite` removes. */
  readonly own: readonly string[];
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a folder with other contents, `FILE_INVALID` for an unreadable one */
export function requireKept({ path: out, noun, journal, lock }: KeptFolder, overwrite = false): void {
  if (!existsSync(out)) return;
  let names: string[];
  try {
    names = readdirSync(out).filter((name) => name !== lock && !name.startsWith('.'));
  } catch (cause) {
    throw new OnnxLoraError('FILE_INVALID', `"${out}" cannot be used: ${(cause as Error).message}. Name a folder with --out.`, { cause }); // prettier-ignore
  }
  if (names.length > 0 && !names.includes(journal) && !overwrite)
    throw usageError(`The folder "${out}" is not empty, and holds no ${noun} to continue. Name another with --out.`);
}

/**
 * Locks the folder while it works there.
 * @param overwrite remove earlier contents
 * @throws OnnxLoraError `FILE_INVALID` where another process holds the lock
 */
export async function inKept<T>(folder: KeptFolder, overwrite: boolean, work: () => Promise<T>): Promise<T> {
  const { path: out, noun } = folder;
  makeFolder(out);
  const lock = FileLock.take(path.join(out, folder.lock));
  if (!(lock instanceof FileLock)) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `The ${noun} in "${out}" is being made by process ${lock.pid} on ${lock.host}, since ${lock.since}. Wait until that has ended, or name another folder with --out.`,
    );
  }
  try {
    if (overwrite) for (const name of folder.own) await rm(path.join(out, name), { recursive: true, force: true });
    return await work();
  } finally {
    lock.release();
  }
}
