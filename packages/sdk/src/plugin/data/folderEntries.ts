/** @file What lies in a folder of data, in an order that is the same everywhere. */

import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { OnnxLoraError } from '../../errors.ts';
import { notFound } from '../../files/notFound.ts';

/** Names in a folder. */
export interface FolderEntries {
  /** Names of its files. */
  readonly files: readonly string[];
  /** Names of its folders. */
  readonly folders: readonly string[];
}

/**
 * Names of what is visible in `folder`, links by what they lead to, sorted by code units.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` when there is no such folder, `DATA_INVALID` when it cannot be read
 */
export async function readFolder(folder: string): Promise<FolderEntries> {
  const files: string[] = [];
  const folders: string[] = [];
  for (const entry of await listFolder(folder)) {
    if (entry.name.startsWith('.')) continue;
    // A dangling link is kept as a file, so that decoding reports it by name.
    const target = entry.isSymbolicLink() ? await stat(join(folder, entry.name)).catch(() => undefined) : entry;
    if (target?.isDirectory()) folders.push(entry.name);
    else files.push(entry.name);
  }
  // The default order compares code units; a locale's would differ from machine to machine.
  return { files: files.sort(), folders: folders.sort() };
}

async function listFolder(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw notFound('folder', folder, { remedy: 'Check the path of the data.', cause });
    }
    const reason = code === 'ENOTDIR' ? 'it is a file' : cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError(
      'DATA_INVALID',
      `Cannot read the data folder "${folder}": ${reason}. Give a folder of data, or a manifest.`,
      { cause },
    );
  }
}
