/** @file Bytes in memory, in a file or computed on demand, so that a model's weights are never all in memory. */

import { closeSync, fstatSync, openSync, readSync, statSync } from '../platform/files.ts';
import { OnnxLoraError } from '../errors.ts';
import { fileIdentity } from '../files/fileIdentity.ts';

/** A lazily read range of a file. */
export interface FileSlice {
  /** Path of the file. */
  readonly path: string;
  /** Offset in bytes. */
  readonly offset: number;
  /** Length in bytes. */
  readonly length: number;
  /** Fingerprint of the file when the range was created; undefined for a file that nobody else writes. */
  readonly identity?: string;
}

/** Bytes computed on each access. */
export interface ComputedBytes {
  /** Length in bytes. */
  readonly length: number;
  /** Returns exactly `length` bytes, always the same. */
  readonly compute: () => Uint8Array;
  /** Set where it is known without reading what the bytes depend on, so that they can be kept for another process. */
  readonly origin?: BytesOrigin;
}

/** Where computed bytes come from. */
export interface BytesOrigin {
  /** Name for people; bytes of one kind are kept together: `int8 weights`. */
  readonly kind: string;
  /** All that the bytes depend on: files with their identities, ranges, and the way of computing. */
  readonly key: string;
}

/** Bytes in memory, in a file, or computed. */
export type Bytes = Uint8Array | FileSlice | ComputedBytes;

/** Whether the bytes lie in a file. */
export function isInFile(bytes: Bytes): bytes is FileSlice {
  return 'path' in bytes;
}

/** Length in bytes, without reading. */
export function byteLength(bytes: Bytes): number {
  return bytes.length;
}

/** Reads or computes the bytes if they are not in memory. */
export function readBytes(bytes: Bytes): Uint8Array {
  if (bytes instanceof Uint8Array) return bytes;
  return isInFile(bytes) ? readSlice(bytes) : computed(bytes);
}

function computed({ length, compute }: ComputedBytes): Uint8Array {
  const bytes = compute();
  // This length has been written around it already.
  if (bytes.length !== length) throw new Error(`${bytes.length} bytes were computed where ${length} were promised.`);
  return bytes;
}

function readSlice(slice: FileSlice): Uint8Array {
  const file = openSync(slice.path, 'r');
  try {
    requireBytes(file, slice);
    const buffer = new Uint8Array(slice.length);
    readExactly(file, buffer, slice.offset);
    return buffer;
  } finally {
    closeSync(file);
  }
}

const BLOCK = 1 << 18;

/** Yields the bytes in order. Pieces of a file share one buffer: each is valid until the next. */
export function* blocksOf(bytes: Bytes): Generator<Uint8Array> {
  if (!isInFile(bytes)) {
    yield readBytes(bytes);
    return;
  }
  const { offset, length } = bytes;
  const file = openSync(bytes.path, 'r');
  try {
    requireBytes(file, bytes);
    const buffer = new Uint8Array(Math.min(BLOCK, length));
    for (let done = 0; done < length; done += buffer.length) {
      const block = buffer.subarray(0, Math.min(buffer.length, length - done));
      readExactly(file, block, offset + done);
      yield block;
    }
  } finally {
    closeSync(file);
  }
}

/** Checks that files are unchanged since their ranges were made. @throws OnnxLoraError `FILE_INVALID` if not */
export function requireUnchanged(slices: Iterable<FileSlice>): void {
  const seen = new Set<string>();
  for (const { path, identity } of slices) {
    const key = `${identity} ${path}`;
    if (identity === undefined || seen.has(key)) continue;
    seen.add(key);
    const now = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (!now || fileIdentity(now) !== identity) throw changed(path, now ? 'changed' : 'removed');
  }
}

function changed(path: string, what: string): OnnxLoraError {
  return new OnnxLoraError(
    'FILE_INVALID',
    `"${path}" was ${what} after the model was opened, so what is known of its weights no longer holds. Open the model again.`,
  );
}

function requireBytes(file: number, { path, offset, length, identity }: FileSlice): void {
  const now = fstatSync(file, { bigint: true });
  if (identity !== undefined && fileIdentity(now) !== identity) throw changed(path, 'changed');
  if (BigInt(offset + length) <= now.size) return;
  throw new OnnxLoraError(
    'FILE_INVALID',
    `"${path}" ends before byte ${offset + length}, where a weight should lie. The file is truncated: copy or download it again.`,
  );
}

function readExactly(file: number, buffer: Uint8Array, offset: number): void {
  for (let done = 0; done < buffer.length;) {
    // A read call returns at most 2 GiB.
    const count = readSync(file, buffer, done, Math.min(buffer.length - done, 1 << 30), offset + done);
    if (count === 0) throw new OnnxLoraError('FILE_INVALID', 'A file became shorter while it was read.');
    done += count;
  }
}

/** Random access to a model's bytes while parsing. */
export interface ByteSource {
  /** Size in bytes. */
  readonly size: number;
  /** The bytes `[offset, offset + length)`; they may share memory and must not be kept. */
  view(offset: number, length: number): Uint8Array;
  /** The byte at `offset`, without allocating a view: lists have millions of numbers. */
  byte(offset: number): number;
  /** The same range to keep: a copy if short, else a reference into the file. */
  keep(offset: number, length: number): Bytes;
}

/** A source of bytes in memory. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    view: (offset, length) => bytes.subarray(offset, offset + length),
    byte: (offset) => bytes[offset]!,
    keep: (offset, length) => bytes.subarray(offset, offset + length),
  };
}

/** Ranges up to this size are copied at once; reading each later would cost more. */
const INLINE_LIMIT = 256;
const WINDOW = 1 << 16;

/** A file read through a small window: any model is parsed in a few hundred kilobytes. */
export class FileSource implements ByteSource {
  readonly size: number;
  readonly identity: string;
  readonly #path: string;
  readonly #file: number;
  readonly #window = new Uint8Array(WINDOW);
  #start = 0;
  #filled = 0;

  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'r');
    const stats = fstatSync(this.#file, { bigint: true });
    this.size = Number(stats.size);
    this.identity = fileIdentity(stats);
  }

  byte(offset: number): number {
    const at = offset - this.#start;
    return at >= 0 && at < this.#filled ? this.#window[at]! : this.view(offset, 1)[0]!;
  }

  view(offset: number, length: number): Uint8Array {
    if (length > WINDOW) return this.#read(new Uint8Array(length), offset);
    if (offset < this.#start || offset + length > this.#start + this.#filled) {
      this.#filled = Math.min(WINDOW, this.size - offset);
      this.#start = offset;
      this.#read(this.#window.subarray(0, this.#filled), offset);
    }
    const from = offset - this.#start;
    return this.#window.subarray(from, from + length);
  }

  #read(into: Uint8Array, offset: number): Uint8Array {
    readExactly(this.#file, into, offset);
    return into;
  }

  keep(offset: number, length: number): Bytes {
    return length <= INLINE_LIMIT
      ? this.view(offset, length).slice()
      : { path: this.#path, offset, length, identity: this.identity };
  }

  close(): void {
    closeSync(this.#file);
  }
}
