/** @file The SDK's file system on a page: a {@link Volume}. */

import { readInto, type VolumeFile, type VolumeFolder, Volume, VolumeError, writeFrom } from './volume.ts';
import * as path from './path.ts';

/** The files of this page. */
export const volume: Volume = new Volume();
volume.makeFolder('/tmp');

interface Open {
  readonly where: string;
  readonly file: VolumeFile | VolumeFolder;
  isWritten?: boolean;
  /** Where the next write without a position goes. */
  at: number;
}

const open_ = new Map<number, Open>();
let count = 3;

interface Stats {
  readonly size: number | bigint;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

function statsOf(found: VolumeFile | VolumeFolder, isBig = false): Stats {
  const size = found.kind === 'file' ? found.size : 0;
  const modified = BigInt(found.modified) * 1_000_000n;
  return {
    size: isBig ? BigInt(size) : size,
    ...(isBig && {
      ino: BigInt(found.id),
      mtimeNs: modified,
      ctimeNs: found.kind === 'file' ? BigInt(found.version) : modified,
    }),
    ...(!isBig && { ino: found.id, mtimeMs: found.modified }),
    isFile: () => found.kind === 'file',
    isDirectory: () => found.kind === 'folder',
    isSymbolicLink: () => false,
  };
}

interface StatOptions {
  readonly bigint?: boolean;
  readonly throwIfNoEntry?: boolean;
}

export function existsSync(where: string): boolean {
  return volume.find(where) !== undefined;
}

export function statSync(where: string, { bigint, throwIfNoEntry = true }: StatOptions = {}): Stats | undefined {
  const found = throwIfNoEntry ? volume.get(where) : volume.find(where);
  return found && statsOf(found, bigint);
}

export { statSync as lstatSync };

export function fstatSync(descriptor: number, { bigint }: StatOptions = {}): Stats {
  return statsOf(opened(descriptor).file, bigint);
}

export function realpathSync(where: string): string {
  volume.get(where);
  return path.resolve(where);
}

export function readdirSync(where: string): string[] {
  return [...volume.folder(where).entries.keys()].sort();
}

export function mkdirSync(where: string, { recursive = false }: { readonly recursive?: boolean } = {}): void {
  if (recursive) volume.makeFolders(where);
  else volume.makeFolder(where);
}

export function openSync(where: string, flags = 'r'): number {
  let file = volume.find(where);
  if (flags.includes('x') && file) throw new VolumeError('EEXIST', 'exists already', where);
  if (flags.startsWith('r')) file = volume.get(where);
  else if (!file) file = volume.makeFile(where);
  else if (flags.startsWith('w') && file.kind === 'file')
    Object.assign(file, { content: new Uint8Array(), size: 0, version: file.version + 1 });
  open_.set(count, { where, file, at: flags.startsWith('a') && file.kind === 'file' ? file.size : 0 });
  return count++;
}

function opened(descriptor: number): Open {
  const found = open_.get(descriptor);
  if (found) return found;
  throw new VolumeError('EBADF', 'bad file descriptor', String(descriptor));
}

function openedFile(descriptor: number): VolumeFile {
  const { file } = opened(descriptor);
  if (file.kind === 'file') return file;
  throw new VolumeError('EISDIR', 'is a folder', String(descriptor));
}

export function closeSync(descriptor: number): void {
  const { where, isWritten } = opened(descriptor);
  open_.delete(descriptor);
  if (isWritten) volume.told(where);
}

export function fsyncSync(descriptor: number): void {
  opened(descriptor);
}

export function readSync(descriptor: number, into: Uint8Array, offset: number, length: number, at: number): number {
  return readInto(into.subarray(offset, offset + length), openedFile(descriptor), at);
}

export function writeSync(
  descriptor: number,
  data: Uint8Array | string,
  offset = 0,
  length?: number,
  position?: number,
): number {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  const part = bytes.subarray(offset, length === undefined ? undefined : offset + length);
  const entry = opened(descriptor);
  writeFrom(part, openedFile(descriptor), position ?? entry.at);
  entry.isWritten = true;
  if (position === undefined) entry.at += part.length;
  return part.length;
}

function contentOf(where: string): Uint8Array<ArrayBuffer> {
  const file = volume.file(where);
  const bytes = new Uint8Array(file.size);
  readInto(bytes, file, 0);
  return bytes;
}

function decoded(bytes: Uint8Array, encoding: string | undefined): Uint8Array | string {
  return encoding === undefined ? bytes : new TextDecoder(encoding, { ignoreBOM: true }).decode(bytes);
}

export function readFileSync(where: string, encoding?: string): Uint8Array | string {
  return decoded(contentOf(where), encoding);
}

export function writeFileSync(where: string, data: Uint8Array | string): void {
  const descriptor = openSync(where, 'w');
  writeSync(descriptor, data);
  closeSync(descriptor);
}

export function copyFileSync(from: string, to: string): void {
  writeFileSync(to, contentOf(from));
}

export function renameSync(from: string, to: string): void {
  volume.rename(from, to);
}

export function rmSync(
  where: string,
  { force = false }: { readonly force?: boolean; readonly recursive?: boolean } = {},
): void {
  if (!force || volume.find(where)) volume.remove(where);
}

export function rmdirSync(where: string): void {
  if (volume.folder(where).entries.size > 0) throw new VolumeError('ENOTEMPTY', 'folder not empty', where);
  volume.remove(where);
}

export function utimesSync(where: string, _accessed: Date, modified: Date): void {
  volume.get(where).modified = modified.getTime();
}

function noLinks(_target: string, where: string): never {
  throw new VolumeError('EPERM', 'links are not supported', where);
}

export { noLinks as linkSync, noLinks as symlinkSync };

export function readlinkSync(where: string): never {
  throw new VolumeError('EINVAL', 'is no link', where);
}

const PIECE = 1 << 16;

/** The content in pieces. */
export async function* createReadStream(
  where: string,
  { highWaterMark = PIECE }: { readonly highWaterMark?: number } = {},
): AsyncGenerator<Uint8Array> {
  const file = volume.file(where);
  for (let at = 0; at < file.size; at += highWaterMark) {
    const piece = new Uint8Array(Math.min(highWaterMark, file.size - at));
    readInto(piece, file, at);
    yield piece;
  }
}

/** An open file, as Node's promises have it. */
export class FileHandle {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  async stat(): Promise<Stats> {
    return fstatSync(this.#descriptor);
  }

  async read<Into extends Uint8Array>(
    buffer: Into,
    offset: number,
    length: number,
    at: number,
  ): Promise<{ bytesRead: number; buffer: Into }> {
    return { bytesRead: readSync(this.#descriptor, buffer, offset, length, at), buffer };
  }

  async write(data: Uint8Array, offset?: number, length?: number, at?: number): Promise<{ bytesWritten: number }> {
    return { bytesWritten: writeSync(this.#descriptor, data, offset, length, at) };
  }

  async readFile(): Promise<Uint8Array> {
    const file = openedFile(this.#descriptor);
    const bytes = new Uint8Array(file.size);
    readInto(bytes, file, 0);
    return bytes;
  }

  async writeFile(data: Uint8Array | string): Promise<void> {
    writeSync(this.#descriptor, data);
  }

  async sync(): Promise<void> {
    fsyncSync(this.#descriptor);
  }

  async close(): Promise<void> {
    closeSync(this.#descriptor);
  }
}

export async function open(where: string, flags?: string): Promise<FileHandle> {
  return new FileHandle(openSync(where, flags));
}

export async function mkdtemp(prefix: string): Promise<string> {
  const folder = `${prefix}${crypto.randomUUID().slice(0, 8)}`;
  mkdirSync(folder);
  return folder;
}

export async function readdir(
  where: string,
  { withFileTypes = false }: { readonly withFileTypes?: boolean; readonly recursive?: boolean } = {},
): Promise<unknown[]> {
  const names = readdirSync(where);
  return withFileTypes
    ? names.map((name) => ({ name, parentPath: where, ...statSync(path.join(where, name)) }))
    : names;
}

export async function readFile(where: string, encoding?: string): Promise<Uint8Array | string> {
  return readFileSync(where, encoding);
}

export async function rename(from: string, to: string): Promise<void> {
  renameSync(from, to);
}

export async function rm(
  where: string,
  options?: { readonly force?: boolean; readonly recursive?: boolean },
): Promise<void> {
  rmSync(where, options);
}

export async function stat(where: string, options?: StatOptions): Promise<Stats> {
  return statSync(where, options)!;
}

/** Resolves once a path's changes outlive the page, where its folder is kept. */
export function kept(where: string): Promise<void> {
  return volume.saved(where);
}
