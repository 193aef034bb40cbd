/** @file Writes zip files with uncompressed members. */

import { concatBytes, utf8 } from '../../../platform/bytes.ts';
import { crc32 } from '../../../platform/hash.ts';
import { type AtomicWriter, atomicWriters } from '../../../files/atomicWriter.ts';
import { packed } from '../../../files/packed.ts';

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
    const path = utf8(name);
    const at = this.#file.size;
    const isLarge = size >= LARGE;
    const sizes = isLarge ? wide([size, size]) : undefined;
    // The checksum of pieces in memory is known now and need not be patched.
    const known = Array.isArray(pieces) ? sumOf(pieces as readonly Uint8Array[]) : undefined;
    const told = isLarge ? LARGE : size;
    // prettier-ignore
    const header = packed(
      'u32', 0x0403_4b50, 'u16', isLarge ? 45 : 20, 'u16', UTF8, 'u32', 0, 'u16', DATE,
      'u32', known ?? 0, 'u32', told, 'u32', told, 'u16', path.length, 'u16', sizes?.length ?? 0,
    );
    await this.#file.append(concatBytes([header, path, ...(sizes ? [sizes] : [])]));
    let sum = known ?? 0;
    for await (const piece of pieces) {
      if (known === undefined) sum = crc32(piece, sum);
      await this.#file.append(piece);
    }
    if (known === undefined) await this.#file.patch(packed('u32', sum), at + 14);
    await this.#list(path, size, at, sum);
  }

  /** Writes the directory and completes the file. */
  async finish(): Promise<void> {
    try {
      const at = this.#file.size;
      for await (const piece of this.#directory.content()) await this.#file.append(piece);
      const size = this.#file.size - at;
      if (this.#members >= MANY || at + size >= LARGE) await this.#file.append(wideEnd(this.#members, size, at));
      const members = Math.min(this.#members, MANY);
      await this.#file.append(
        packed('u32', 0x0605_4b50, 'u32', 0, 'u16', members, 'u16', members, 'u32', Math.min(size, LARGE), 'u32', Math.min(at, LARGE), 'u16', 0), // prettier-ignore
      );
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

  async #list(path: Uint8Array, size: number, at: number, sum: number): Promise<void> {
    const large = [...(size >= LARGE ? [size, size] : []), ...(at >= LARGE ? [at] : [])];
    const extra = large.length > 0 ? wide(large) : new Uint8Array();
    const version = extra.length > 0 ? 45 : 20;
    const told = Math.min(size, LARGE);
    // prettier-ignore
    const entry = packed(
      'u32', 0x0201_4b50, 'u16', version, 'u16', version, 'u16', UTF8, 'u32', 0, 'u16', DATE, 'u32', sum, 'u32', told, 'u32', told,
      'u16', path.length, 'u16', extra.length, 'u64', 0, 'u16', 0, 'u32', Math.min(at, LARGE),
    );
    await this.#directory.append(concatBytes([entry, path, extra]));
    this.#members++;
  }
}

function sumOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => crc32(piece, sum), 0);
}

function wide(values: readonly number[]): Uint8Array {
  return packed('u16', 1, 'u16', 8 * values.length, ...values.flatMap((value) => ['u64', value] as const));
}

function wideEnd(members: number, size: number, at: number): Uint8Array {
  // prettier-ignore
  return packed(
    'u32', 0x0606_4b50, 'u64', 44, 'u16', 45, 'u16', 45, 'u64', 0, 'u64', members, 'u64', members, 'u64', size, 'u64', at,
    'u32', 0x0706_4b50, 'u32', 0, 'u64', at + size, 'u32', 1,
  );
}
