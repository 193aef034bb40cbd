/** @file Writes a new folder, all files or none. */

import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** A user's mistake. The message names the thing, the problem, and a remedy. */
export class CreateError extends Error {
  override readonly name = 'CreateError';
}

/** Refuses a non-empty folder; `.git` does not count. @throws CreateError */
export async function requireFree(folder: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw new CreateError(`"${folder}" is no folder that can be read: ${(cause as Error).message}. Name another.`, {
      cause,
    });
  }
  const found = names.find((name) => name !== '.git');
  if (found !== undefined)
    throw new CreateError(`The folder "${folder}" is not empty: it has ${found}. Name a new one, or empty it.`);
}

/**
 * Writes files beside the folder, then moves them in, so that a failure leaves nothing.
 * @param files text by path with `/`
 * @throws CreateError for a folder that is not empty or not writable
 */
export async function writeFolder(folder: string, files: ReadonlyMap<string, string>): Promise<void> {
  await requireFree(folder);
  const target = path.resolve(folder);
  const staged = `${target}.${process.pid}.partial`;
  const moved: string[] = [];
  try {
    await mkdir(staged, { recursive: true });
    for (const [name, text] of files) {
      const file = path.join(staged, name);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, text, { flag: 'wx' });
    }
    await mkdir(target, { recursive: true });
    for (const name of await readdir(staged)) {
      await rename(path.join(staged, name), path.join(target, name));
      moved.push(name);
    }
  } catch (cause) {
    for (const name of moved) await rm(path.join(target, name), { recursive: true });
    throw new CreateError(
      `"${folder}" cannot be written: ${(cause as Error).message}. Check the path and its rights.`,
      {
        cause,
      },
    );
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}
