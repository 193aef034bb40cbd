/** @file Writes files so that a reader, or a crash, never meets half of one. */

import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { OnnxLoraError } from '../errors.ts';

/**
 * Writes a file so that its path holds either the old content or all of the new: a temporary file in the same folder
 * is written and flushed to the disk, then renamed. Missing folders are made; a failure leaves no temporary file.
 *
 * @throws OnnxLoraError `FILE_INVALID` when the system refuses (rights, a full disk, a folder at that path).
 */
export async function writeFileAtomic(path: string, data: Uint8Array | string): Promise<void> {
  const temporary = besides(path, 'tmp');
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFlushed(temporary, data);
    await rename(temporary, path);
    await flushFolder(dirname(path));
  } catch (cause) {
    await discard(temporary);
    throw writeFailed(path, cause);
  }
}

/** Contents by file name; null for a file that shall not be there. */
type FolderFiles = Readonly<Record<string, Uint8Array | string | null>>;

/**
 * Writes files that belong together into a folder, such as the two of a PEFT adapter, so that at no
 * moment an old one and a new one stand side by side. Other files in the folder, a README say, stay.
 *
 * A new folder appears at once with everything in it. In an existing folder unchanged files are left alone and a
 * single changed file is replaced in one step; where several change, the old ones are moved aside first, so that in
 * between a reader finds a file missing, but no mixture. A failure puts the old files back.
 *
 * @param files contents by plain file name; null for a file that shall not be there any more.
 * @throws OnnxLoraError `INPUT_INVALID` for a name with a folder in it, `FILE_INVALID` when the system refuses.
 */
export async function writeFolderAtomic(folder: string, files: FolderFiles): Promise<void> {
  for (const name of Object.keys(files)) {
    if (name !== basename(name) || name === '' || name === '.' || name === '..' || name.includes('\\')) {
      throw new OnnxLoraError('INPUT_INVALID', `"${name}" is not a plain file name, so it cannot go into "${folder}".`);
    }
  }
  try {
    if (!(await writeNewFolder(folder, files))) await replaceFiles(folder, files);
  } catch (cause) {
    throw writeFailed(folder, cause);
  }
}

/** Returns false, having done nothing, when the folder is already there. */
async function writeNewFolder(folder: string, files: FolderFiles): Promise<boolean> {
  if (await exists(folder)) return false;
  await mkdir(dirname(folder), { recursive: true });
  const temporary = besides(folder, 'tmp');
  try {
    await mkdir(temporary);
    for (const [name, data] of Object.entries(files)) {
      if (data !== null) await writeFlushed(join(temporary, name), data);
    }
    await flushFolder(temporary);
    await rename(temporary, folder);
    await flushFolder(dirname(folder));
    return true;
  } catch (cause) {
    // Somebody else made the folder in the meantime.
    if (['ENOTEMPTY', 'EEXIST'].includes((cause as NodeJS.ErrnoException).code ?? '')) return false;
    throw cause;
  } finally {
    await discard(temporary);
  }
}

/** One file on its way into a folder, or out of it. */
interface Change {
  readonly path: string;
  /** Where the new content waits; undefined for a file that goes. */
  readonly temporary: string | undefined;
  readonly aside: string;
  movedAside: boolean;
  moved: boolean;
}

async function replaceFiles(folder: string, files: FolderFiles): Promise<void> {
  const changes: Change[] = [];
  try {
    for (const [name, data] of Object.entries(files)) {
      const path = join(folder, name);
      if (data === null ? !(await exists(path)) : await holds(path, data)) continue;
      const temporary = data === null ? undefined : besides(path, 'tmp');
      changes.push({ path, temporary, aside: besides(path, 'old'), movedAside: false, moved: false });
      if (data !== null) await writeFlushed(temporary!, data);
    }
    if (changes.length > 1) {
      for (const change of changes) change.movedAside = await renameIfThere(change.path, change.aside);
    }
    for (const change of changes) {
      if (change.temporary !== undefined) await rename(change.temporary, change.path);
      else if (!change.movedAside) await rm(change.path, { force: true });
      change.moved = true;
    }
    await flushFolder(folder);
    for (const { aside } of changes) await rm(aside, { force: true }).catch(() => undefined);
  } catch (cause) {
    for (const { path, aside, movedAside, moved } of changes) {
      if (movedAside) await rename(aside, path);
      // New where nothing was before, while its partners are missing: half of a set.
      else if (moved && changes.length > 1) await rm(path, { force: true });
    }
    throw cause;
  } finally {
    for (const { temporary } of changes) if (temporary !== undefined) await discard(temporary);
  }
}

/** A name for a file that stands beside another for a while. */
export function besides(path: string, ending: 'tmp' | 'old'): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.${ending}`);
}

async function writeFlushed(path: string, data: Uint8Array | string): Promise<void> {
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

async function holds(path: string, data: Uint8Array | string): Promise<boolean> {
  try {
    return (await readFile(path)).equals(typeof data === 'string' ? Buffer.from(data) : data);
  } catch (cause) {
    if (isMissing(cause)) return false;
    throw cause;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (cause) {
    if (isMissing(cause)) return false;
    throw cause;
  }
}

async function renameIfThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (cause) {
    if (isMissing(cause)) return false;
    throw cause;
  }
}

/** Removes what may be there; that it cannot is never worth hiding the error that led here. */
export async function discard(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

function isMissing(cause: unknown): boolean {
  return (cause as NodeJS.ErrnoException).code === 'ENOENT';
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
