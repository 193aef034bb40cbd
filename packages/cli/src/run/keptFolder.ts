/** @file The folder of work that the same command goes on with: a sweep, or tasks that are learned one after the other. */

import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { FileLock } from '@onnx-lora/sdk/core';
import { makeFolder } from '@onnx-lora/sdk/data';
import { usageError } from '../terminal/errors.ts';

/** How such a folder is known. */
export interface KeptFolder {
  readonly path: string;
  /** What it holds, in words: `sweep`. */
  readonly noun: string;
  /** The file without which it is none. */
  readonly journal: string;
  /** The file that says who works there. */
  readonly lock: string;
  /** All that is put into it, and removed where the work begins anew. */
  readonly own: readonly string[];
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a folder that holds something else, `FILE_INVALID` for none that can be read */
export function requireKept({ path: out, noun, journal, lock }: KeptFolder, overwrite = false): void {
  if (!existsSync(out)) return;
  let names: string[];
  try {
    names = readdirSync(out).filter((name) => name !== lock && !name.startsWith('.'));
  } catch (cause) {
    throw new OnnxLoraError('FILE_INVALID', `"${out}" cannot be used: ${(cause as Error).message}. Name a folder with --out.`, { cause }); // prettier-ignore
  }
  if (names.length > 0 && !names.includes(journal) && !overwrite)
    throw usageError(`The folder "${out}" is not empty, and holds no ${noun} to go on with. Name another with --out.`);
}

/**
 * Works in the folder while no other process does.
 *
 * @param overwrite remove what is there of it
 * @throws OnnxLoraError `FILE_INVALID` where another process works there
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
