/** @file A file system of a page, in memory: files are bytes, or blobs that the browser keeps on its disk. */

import * as path from './path.ts';

/** A file's content: bytes that can be written, or a blob, such as a file that the user picked. */
export type Content = Uint8Array<ArrayBuffer> | Blob;

/** A file. */
export interface VolumeFile {
  readonly kind: 'file';
  /** Number of the file on its volume. */
  readonly id: number;
  /** The bytes; those beyond `size` are reserve. */
  content: Content;
  size: number;
  /** Milliseconds since 1970. */
  modified: number;
  /** Grows with each write. */
  version: number;
}

/** A folder. */
export interface VolumeFolder {
  readonly kind: 'folder';
  /** Number of the folder on its volume. */
  readonly id: number;
  readonly entries: Map<string, VolumeFile | VolumeFolder>;
  /** Milliseconds since 1970. */
  modified: number;
}

/** Keeps a folder's changes. */
export interface Watcher {
  /** Called after each change. */
  changed(): void;
  /** Resolves once the changes so far are kept. */
  saved(): Promise<void>;
}

/** An error as the system gives it: `ENOENT`, and so on. */
export class VolumeError extends Error {
  readonly code: string;
  readonly path: string;

  constructor(code: string, what: string, where: string) {
    super(`${code}: ${what}, '${where}'`);
    this.code = code;
    this.path = where;
  }
}

/** Reads ranges of blobs without waiting: the browser has it in workers only. */
declare const FileReaderSync: (new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer }) | undefined;

/** Files and folders, with the semantics of POSIX, but without links. */
export class Volume {
  readonly #root: VolumeFolder;
  readonly #watchers = new Map<string, Watcher>();
  #count = 0;

  constructor() {
    this.#root = this.#folder();
  }

  /** The file or folder of a path, if any. */
  find(where: string): VolumeFile | VolumeFolder | undefined {
    let at: VolumeFile | VolumeFolder | undefined = this.#root;
    for (const name of partsOf(where)) at = at?.kind === 'folder' ? at.entries.get(name) : undefined;
    return at;
  }

  /** @throws VolumeError `ENOENT` */
  get(where: string): VolumeFile | VolumeFolder {
    const found = this.find(where);
    if (found) return found;
    throw new VolumeError('ENOENT', 'no such file or directory', where);
  }

  /** @throws VolumeError `ENOENT`, `EISDIR` */
  file(where: string): VolumeFile {
    const found = this.get(where);
    if (found.kind === 'file') return found;
    throw new VolumeError('EISDIR', 'is a folder', where);
  }

  /** @throws VolumeError `ENOENT`, `ENOTDIR` */
  folder(where: string): VolumeFolder {
    const found = this.get(where);
    if (found.kind === 'folder') return found;
    throw new VolumeError('ENOTDIR', 'is no folder', where);
  }

  /** Tells of changes in a folder, until the returned function is called. */
  watch(folder: string, watcher: Watcher): () => void {
    const key = `${path.resolve(folder)}/`;
    this.#watchers.set(key, watcher);
    return () => this.#watchers.delete(key);
  }

  /** Tells those who watch that a file or folder has changed. */
  told(where: string): void {
    for (const each of this.#watchersOf(where)) each.changed();
  }

  /** Resolves once changes of a file or folder are kept where they outlive the page, if anywhere. */
  async saved(where: string): Promise<void> {
    await Promise.all(this.#watchersOf(where).map((each) => each.saved()));
  }

  #watchersOf(where: string): Watcher[] {
    const whole = `${path.resolve(where)}/`;
    return [...this.#watchers].flatMap(([folder, watcher]) => (whole.startsWith(folder) ? [watcher] : []));
  }

  /** Makes a folder and those above it, unless they exist. @throws VolumeError `EEXIST` for a file in their place */
  makeFolders(folder: string): void {
    if (this.find(folder)?.kind === 'folder') return;
    if (path.dirname(folder) !== folder) this.makeFolders(path.dirname(folder));
    this.makeFolder(folder);
  }

  /** Makes a folder in an existing one. @throws VolumeError `EEXIST`, `ENOENT` */
  makeFolder(where: string): void {
    this.#add(where, this.#folder());
  }

  /** Makes an empty file, or one with a content. @throws VolumeError `EEXIST`, `ENOENT` */
  makeFile(where: string, content: Content = new Uint8Array()): VolumeFile {
    const size = content instanceof Blob ? content.size : content.length;
    return this.#add(where, { kind: 'file', id: this.#count++, content, size, modified: Date.now(), version: 0 });
  }

  /** Removes a file, or a folder with all that it holds. @throws VolumeError `ENOENT` */
  remove(where: string): void {
    this.get(where);
    this.#parent(where).entries.delete(path.basename(path.resolve(where)));
    this.told(where);
  }

  /** Moves a file over another, or a folder over an empty one. @throws VolumeError `ENOENT`, `ENOTEMPTY`, `EISDIR` */
  rename(from: string, to: string): void {
    const moved = this.get(from);
    const over = this.find(to);
    if (over === moved) return;
    if (over?.kind === 'folder' && moved.kind === 'file') throw new VolumeError('EISDIR', 'is a folder', to);
    if (over?.kind === 'file' && moved.kind === 'folder') throw new VolumeError('ENOTDIR', 'is no folder', to);
    if (over?.kind === 'folder' && over.entries.size > 0) throw new VolumeError('ENOTEMPTY', 'folder not empty', to);
    const place = this.#parent(to);
    this.remove(from);
    place.entries.set(path.basename(path.resolve(to)), moved);
    this.told(to);
  }

  #folder(): VolumeFolder {
    return { kind: 'folder', id: this.#count++, entries: new Map(), modified: Date.now() };
  }

  #parent(where: string): VolumeFolder {
    return this.folder(path.dirname(path.resolve(where)));
  }

  #add<Entry extends VolumeFile | VolumeFolder>(where: string, entry: Entry): Entry {
    if (this.find(where)) throw new VolumeError('EEXIST', 'exists already', where);
    this.#parent(where).entries.set(path.basename(path.resolve(where)), entry);
    this.told(where);
    return entry;
  }
}

/** Copies bytes `[offset, offset + into.length)` of a file; returns how many there are. @throws Error for a blob outside of a worker */
export function readInto(into: Uint8Array, { content, size }: VolumeFile, offset: number): number {
  const end = Math.min(size, offset + into.length);
  if (end <= offset) return 0;
  if (!(content instanceof Blob)) into.set(content.subarray(offset, end));
  else if (typeof FileReaderSync === 'undefined') {
    throw new Error('a file that the browser holds can be read in a worker only: start the work in one');
  } else into.set(new Uint8Array(new FileReaderSync().readAsArrayBuffer(content.slice(offset, end))));
  return end - offset;
}

/** Writes bytes at an offset, growing the file. */
export function writeFrom(bytes: Uint8Array, file: VolumeFile, offset: number): void {
  const end = offset + bytes.length;
  if (file.content instanceof Blob || file.content.length < end) {
    const room = new Uint8Array(Math.max(end, end > file.size ? 2 * file.size : file.size));
    readInto(room.subarray(0, file.size), file, 0);
    file.content = room;
  }
  file.content.set(bytes, offset);
  file.size = Math.max(file.size, end);
  file.modified = Date.now();
  file.version++;
}

function partsOf(where: string): string[] {
  return path.resolve(where).split('/').filter((name) => name !== ''); // prettier-ignore
}
