/** @file A folder of a page that outlives it: kept in the origin private file system (OPFS). */

import { OnnxLoraError } from '../../errors.ts';
import { volume } from './files.ts';
import * as path from './path.ts';
import { readInto, type VolumeFile, type VolumeFolder } from './volume.ts';

/** The parts of the browser's API that are used; the DOM's types would make all of its names known to Node's code. */
interface FileHandle {
  getFile(): Promise<Blob>;
  createWritable(): Promise<{ write(data: Uint8Array | Blob | string): Promise<void>; close(): Promise<void>; abort(): Promise<void> }>; // prettier-ignore
}
interface FolderHandle {
  getDirectoryHandle(name: string, options?: { readonly create?: boolean }): Promise<FolderHandle>;
  getFileHandle(name: string, options?: { readonly create?: boolean }): Promise<FileHandle>;
  removeEntry(name: string): Promise<void>;
  keys(): AsyncIterable<string>;
}
interface Navigator {
  readonly storage?: { getDirectory?(): Promise<FolderHandle> };
  readonly locks?: {
    request(
      name: string,
      options: { readonly ifAvailable: true },
      use: (lock: object | null) => unknown,
    ): Promise<unknown>;
  };
}

/** A file of the index: its path in the folder, and the stored file with its bytes. */
interface Entry {
  readonly path: string;
  readonly data: string;
  readonly modified: number;
}

const INDEX = 'index.json';
const FORMAT = 1;
/** Files in the making, which a move completes. */
const TEMPORARY = /^\..*\.tmp$/;

/** A folder whose files are kept in the browser. */
export interface KeptFolder {
  /** Resolves once all changes so far are kept. @throws OnnxLoraError `FILE_INVALID` if the browser refuses, as with a full quota */
  saved(): Promise<void>;
  /** Ends keeping, after the changes so far; another tab may then use the folder. */
  release(): Promise<void>;
}

/**
 * Brings back the files that a folder had, and keeps its changes: each file that is complete, and all files of a
 * replacement together. A tab that is closed or crashes loses only changes that are not {@link KeptFolder.saved}.
 * @param folder an absolute path; its files must not have been put there before
 * @throws OnnxLoraError `FILE_INVALID` where the browser keeps no files, or another tab uses the folder
 */
export async function keepFolder(folder: string): Promise<KeptFolder> {
  const { storage, locks } = (globalThis as unknown as { readonly navigator: Navigator }).navigator;
  if (!storage?.getDirectory || !locks)
    throw refused(folder, 'this browser keeps no files for pages. Use a current browser, and an address with https');
  const name = `onnx-lora${path.resolve(folder).replaceAll('/', '~')}`;
  const unlock = await locked(locks, name);
  if (!unlock) throw refused(folder, 'another tab of this page uses it. Close that tab, or keep another folder');
  try {
    const store = await (await storage.getDirectory()).getDirectoryHandle(name, { create: true });
    const kept = new Keeper(folder, store, unlock);
    await kept.restore();
    return kept;
  } catch (cause) {
    unlock();
    throw cause;
  }
}

/** Holds a lock until the returned function is called; undefined if another tab holds it. */
function locked(locks: NonNullable<Navigator['locks']>, name: string): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const use = (lock: object | null): Promise<void> | undefined => {
      if (lock) return new Promise((free) => resolve(free));
      resolve(undefined);
      return undefined;
    };
    locks.request(name, { ifAvailable: true }, use).catch(reject);
  });
}

function refused(folder: string, reason: string, cause?: unknown): OnnxLoraError {
  return new OnnxLoraError('FILE_INVALID', `"${folder}" cannot be kept: ${reason}.`, { cause });
}

/** An entry, and the file's state that it holds. */
interface Stored extends Entry {
  readonly file: VolumeFile;
  readonly version: number;
}

class Keeper implements KeptFolder {
  readonly #folder: string;
  readonly #store: FolderHandle;
  readonly #unlock: () => void;
  #unwatch = (): void => undefined;
  /** The stored file of each file's state. */
  #stored = new Map<string, Stored>();
  #count = 0;
  #saving: Promise<void> = Promise.resolve();
  #isWaiting = false;

  constructor(folder: string, store: FolderHandle, unlock: () => void) {
    this.#folder = path.resolve(folder);
    this.#store = store;
    this.#unlock = unlock;
  }

  async restore(): Promise<void> {
    for (const entry of await this.#index()) {
      const where = path.join(this.#folder, entry.path);
      const blob = await this.#blob(entry);
      volume.makeFolders(path.dirname(where));
      const file = volume.makeFile(where, blob);
      file.modified = entry.modified;
      this.#stored.set(entry.path, { ...entry, file, version: file.version });
      this.#count = Math.max(this.#count, Number(entry.data) + 1);
    }
    volume.makeFolders(this.#folder);
    // Failures show in `saved`.
    this.#unwatch = volume.watch(this.#folder, {
      changed: () => void this.#save().catch(() => undefined),
      saved: () => this.#save(),
    });
  }

  async #blob({ path: name, data }: Entry): Promise<Blob> {
    try {
      return await (await this.#store.getFileHandle(data)).getFile();
    } catch (cause) {
      throw refused(this.#folder, `the browser has lost the bytes of "${name}". Clear the page's data`, cause);
    }
  }

  saved(): Promise<void> {
    return this.#save();
  }

  async release(): Promise<void> {
    this.#unwatch();
    try {
      await this.#save();
    } finally {
      this.#unlock();
    }
  }

  /** Saves after the save in progress; further changes until then join it. */
  #save(): Promise<void> {
    if (this.#isWaiting) return this.#saving;
    this.#isWaiting = true;
    this.#saving = this.#saving
      .catch(() => undefined)
      .then(() => {
        this.#isWaiting = false;
        return this.#write();
      });
    return this.#saving;
  }

  async #write(): Promise<void> {
    const found = volume.find(this.#folder);
    const files = found?.kind === 'folder' ? filesIn(found) : [];
    const next = new Map<string, Stored>();
    try {
      // The content of the moment: later changes make other arrays, or are saved again.
      for (const [name, file] of files) {
        const known = [...this.#stored.values()].find((each) => each.file === file && each.version === file.version);
        const { modified, version } = file;
        const data = known?.data ?? String(this.#count++);
        if (!known) await this.#put(data, bytesOf(file));
        next.set(name, { path: name, data, modified, file, version });
      }
      const entries: Entry[] = [...next.values()].map(({ path: name, data, modified }) => ({ path: name, data, modified })); // prettier-ignore
      await this.#put(INDEX, JSON.stringify({ format: FORMAT, files: entries }));
    } catch (cause) {
      throw refused(this.#folder, `the browser refuses to write (${(cause as Error).message}). Remove files, or allow it more storage`, cause); // prettier-ignore
    }
    this.#stored = next;
    const used = new Set([INDEX, ...Array.from(next.values(), ({ data }) => data)]);
    for await (const name of this.#store.keys()) if (!used.has(name)) await this.#store.removeEntry(name);
  }

  /** Replaces a stored file at once. */
  async #put(name: string, content: Uint8Array | Blob | string): Promise<void> {
    const writable = await (await this.#store.getFileHandle(name, { create: true })).createWritable();
    try {
      await writable.write(content);
      await writable.close();
    } catch (cause) {
      await writable.abort().catch(() => undefined);
      throw cause;
    }
  }

  async #index(): Promise<readonly Entry[]> {
    let text: string;
    try {
      text = await (await (await this.#store.getFileHandle(INDEX)).getFile()).text();
    } catch {
      return [];
    }
    const { format, files } = JSON.parse(text) as { format: number; files: Entry[] };
    if (format === FORMAT) return files;
    throw refused(this.#folder, `a newer version wrote it (format ${format}). Load the page again`);
  }
}

function filesIn(folder: VolumeFolder, before = ''): [name: string, file: VolumeFile][] {
  return [...folder.entries].flatMap(([name, entry]): [string, VolumeFile][] => {
    if (TEMPORARY.test(name)) return [];
    return entry.kind === 'file' ? [[`${before}${name}`, entry]] : filesIn(entry, `${before}${name}/`);
  });
}

function bytesOf(file: VolumeFile): Uint8Array | Blob {
  if (file.content instanceof Blob) return file.content;
  const bytes = new Uint8Array(file.size);
  readInto(bytes, file, 0);
  return bytes;
}
