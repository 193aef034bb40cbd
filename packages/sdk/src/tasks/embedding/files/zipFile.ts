/** @file Writes zip files with uncompressed members. */

import { crc32 } from 'node:zlib';
import { type AtomicWriter, atomicWriters } from '../../../files/atomicWriter.ts';

/** From this size on, sizes and offsets need zip64. */
const LARGE = 0xffff_ffff;
const MANY = 0xffff;
/** 1 January 1980, the earliest date of a zip file, so that equal content gives equal bytes. */
const DATE = 0x21;
const UTF8 = 0x800;

/** Writes members, then the directory. See APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.3. */
export class ZipFile {
  readonly #file: AtomicWriter;
  /** The directory may be long, and is buffered in its own file. */
  readonly #directory: AtomicWriter;
  #members = 0;

  private constructor(file: AtomicWriter, directory: AtomicWriter) {
    this.#file = file;
    this.#directory = directory;
  }

  /** @throws OnnxLoraError `FILE_INVALID` when the system refuses, as in all methods */
  static async create(path: string): Promise<ZipFile> {
    return new ZipFile(...(await atomicWriters(path, `${path}.list`)));
  }

  /** Adds a member of `size` bytes. */
  async add(name: string, size: number, pieces: AsyncIterable<Uint8Array> | readonly Uint8Array[]): Promise<void> {
    const path = Buffer.from(name);
    const at = this.#file.size;
    const isLarge = size >= LARGE;
    const sizes = isLarge ? wide([size, size]) : undefined;
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x0403_4b50, 0);
    header.writeUInt16LE(isLarge ? 45 : 20, 4);
    header.writeUInt16LE(UTF8, 6);
    header.writeUInt16LE(DATE, 12);
    // The checksum of pieces in memory is known now and need not be patched.
    const known = Array.isArray(pieces) ? sumOf(pieces as readonly Uint8Array[]) : undefined;
    header.writeUInt32LE(known ?? 0, 14);
    header.writeUInt32LE(isLarge ? LARGE : size, 18);
    header.writeUInt32LE(isLarge ? LARGE : size, 22);
    header.writeUInt16LE(path.length, 26);
    header.writeUInt16LE(sizes?.length ?? 0, 28);
    await this.#file.append(Buffer.concat([header, path, sizes ?? Buffer.alloc(0)]));
    let sum = known ?? 0;
    for await (const piece of pieces) {
      if (known === undefined) sum = crc32(piece, sum);
      await this.#file.append(piece);
    }
    if (known === undefined) {
      const check = Buffer.alloc(4);
      check.writeUInt32LE(sum);
      await this.#file.patch(check, at + 14);
    }
    await this.#list(path, size, at, sum);
  }

  /** Writes the directory and completes the file. */
  async finish(): Promise<void> {
    try {
      const at = this.#file.size;
      for await (const piece of this.#directory.content()) await this.#file.append(piece);
      const size = this.#file.size - at;
      if (this.#members >= MANY || at + size >= LARGE) await this.#file.append(wideEnd(this.#members, size, at));
      const end = Buffer.alloc(22);
      end.writeUInt32LE(0x0605_4b50, 0);
      end.writeUInt16LE(Math.min(this.#members, MANY), 8);
      end.writeUInt16LE(Math.min(this.#members, MANY), 10);
      end.writeUInt32LE(Math.min(size, LARGE), 12);
      end.writeUInt32LE(Math.min(at, LARGE), 16);
      await this.#file.append(end);
    } catch (error) {
      await this.abort();
      throw error;
    }
    await this.#directory.abort();
    await this.#file.finish();
  }

  /** Discards the file. */
  async abort(): Promise<void> {
    await this.#directory.abort();
    await this.#file.abort();
  }

  async #list(path: Buffer, size: number, at: number, sum: number): Promise<void> {
    const large = [...(size >= LARGE ? [size, size] : []), ...(at >= LARGE ? [at] : [])];
    const extra = large.length > 0 ? wide(large) : Buffer.alloc(0);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x0201_4b50, 0);
    entry.writeUInt16LE(extra.length > 0 ? 45 : 20, 4);
    entry.writeUInt16LE(extra.length > 0 ? 45 : 20, 6);
    entry.writeUInt16LE(UTF8, 8);
    entry.writeUInt16LE(DATE, 14);
    entry.writeUInt32LE(sum, 16);
    entry.writeUInt32LE(Math.min(size, LARGE), 20);
    entry.writeUInt32LE(Math.min(size, LARGE), 24);
    entry.writeUInt16LE(path.length, 28);
    entry.writeUInt16LE(extra.length, 30);
    entry.writeUInt32LE(Math.min(at, LARGE), 42);
    await this.#directory.append(Buffer.concat([entry, path, extra]));
    this.#members++;
  }
}

function sumOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => crc32(piece, sum), 0);
}

function wide(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 + 8 * values.length);
  bytes.writeUInt16LE(1, 0);
  bytes.writeUInt16LE(8 * values.length, 2);
  values.forEach((value, i) => bytes.writeBigUInt64LE(BigInt(value), 4 + 8 * i));
  return bytes;
}

function wideEnd(members: number, size: number, at: number): Buffer {
  const bytes = Buffer.alloc(56 + 20);
  bytes.writeUInt32LE(0x0606_4b50, 0);
  bytes.writeBigUInt64LE(44n, 4);
  bytes.writeUInt16LE(45, 12);
  bytes.writeUInt16LE(45, 14);
  [members, members, size, at].forEach((value, i) => bytes.writeBigUInt64LE(BigInt(value), 24 + 8 * i));
  bytes.writeUInt32LE(0x0706_4b50, 56);
  bytes.writeBigUInt64LE(BigInt(at + size), 64);
  bytes.writeUInt32LE(1, 72);
  return bytes;
}
