/** @file Byte ranges that may still lie in a file: the reason why opening a model does not load its weights. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { OnnxLoraError } from '../errors.ts';

/** A range of a file, read only when asked for. */
export interface FileSlice {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/** Bytes in memory, or a range of a file. */
export type Bytes = Uint8Array | FileSlice;

/** How many bytes there are, without reading them. */
export function byteLength(bytes: Bytes): number {
  return bytes.length;
}

/** The bytes themselves; a file slice is read. */
export function readBytes(bytes: Bytes): Uint8Array {
  return bytes instanceof Uint8Array ? bytes : readSlice(bytes);
}

function readSlice({ path, offset, length }: FileSlice): Uint8Array {
  const file = openSync(path, 'r');
  try {
    if (offset + length > fstatSync(file).size) {
      throw new OnnxLoraError(
        'FILE_INVALID',
        `"${path}" ends before byte ${offset + length}, where a weight should lie. The file is truncated: copy or download it again.`,
      );
    }
    const buffer = new Uint8Array(length);
    readExactly(file, buffer, offset);
    return buffer;
  } finally {
    closeSync(file);
  }
}

function readExactly(file: number, buffer: Uint8Array, offset: number): void {
  for (let done = 0; done < buffer.length;) {
    // One read call returns at most 2 GiB.
    const count = readSync(file, buffer, done, Math.min(buffer.length - done, 1 << 30), offset + done);
    if (count === 0) throw new OnnxLoraError('FILE_INVALID', 'A file became shorter while it was read.');
    done += count;
  }
}

/** Random access to the bytes of a model while it is parsed. */
export interface ByteSource {
  readonly size: number;
  /** The bytes `[offset, offset + length)`; they may share memory and must not be kept. */
  view(offset: number, length: number): Uint8Array;
  /** The same range to keep: a copy when it is short, else a reference into the file. */
  keep(offset: number, length: number): Bytes;
}

/** Bytes that are already in memory. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    view: (offset, length) => bytes.subarray(offset, offset + length),
    keep: (offset, length) => bytes.subarray(offset, offset + length),
  };
}

/** Ranges up to this size are copied into memory at once; reading them one by one later would cost more. */
const INLINE_LIMIT = 256;
const WINDOW = 1 << 16;

/** A file read through a small window, so that a model of any size is parsed in a few hundred kilobytes. */
export class FileSource implements ByteSource {
  readonly size: number;
  readonly #path: string;
  readonly #file: number;
  #window = new Uint8Array(0);
  #start = 0;

  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'r');
    this.size = fstatSync(this.#file).size;
  }

  view(offset: number, length: number): Uint8Array {
    const from = offset - this.#start;
    if (from < 0 || from + length > this.#window.length) {
      const size = Math.min(Math.max(length, WINDOW), this.size - offset);
      this.#window = new Uint8Array(size);
      this.#start = offset;
      readExactly(this.#file, this.#window, offset);
      return this.#window.subarray(0, length);
    }
    return this.#window.subarray(from, from + length);
  }

  keep(offset: number, length: number): Bytes {
    return length <= INLINE_LIMIT ? this.view(offset, length).slice() : { path: this.#path, offset, length };
  }

  close(): void {
    closeSync(this.#file);
  }
}
