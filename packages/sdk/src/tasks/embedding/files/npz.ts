/** @file Embeddings in a .npz file, NumPy's archive of arrays. */

import { type ArrayFile, bytesOf, type EmbeddingRows } from './embeddingRows.ts';
import { ZipFile } from './zipFile.ts';

/** Headers are filled up with blanks to a multiple of so many bytes. */
const ALIGNED = 64;
/** Ids that are joined before they are written. */
const TOGETHER = 4096;

/**
 * What comes before the numbers of a .npy file, version 1.0.
 *
 * @param type NumPy's word for it: `<f4`, `<U12`
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
export function npyHeader(type: string, dims: readonly number[]): Uint8Array {
  const shape = dims.length === 1 ? `${dims[0]},` : dims.join(', ');
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape}), }`;
  const before = 10;
  const length = Math.ceil((before + text.length + 1) / ALIGNED) * ALIGNED - before;
  const bytes = Buffer.alloc(before + length, ' ');
  bytes.set([0x93, ...Buffer.from('NUMPY'), 1, 0]);
  bytes.writeUInt16LE(length, 8);
  bytes.write(text, before, 'latin1');
  bytes.write('\n', before + length - 1, 'latin1');
  return bytes;
}

/** Arrays `embeddings` float32 `[ids, width]` and `ids`. */
export async function writeNpz(path: string, rows: EmbeddingRows): Promise<void> {
  const { count, width, longest, numbers } = rows;
  const zip = await ZipFile.create(path);
  try {
    const header = npyHeader('<f4', [count, width]);
    await zip.add('embeddings.npy', header.length + numbers.size, joined(header, numbers.content()));
    const names = npyHeader(`<U${longest}`, [count]);
    await zip.add('ids.npy', names.length + 4 * longest * count, joined(names, texts(rows)));
  } catch (error) {
    await zip.abort();
    throw error;
  }
  await zip.finish();
}

/** An array for each id. */
export class Npz implements ArrayFile {
  readonly #zip: ZipFile;

  private constructor(zip: ZipFile) {
    this.#zip = zip;
  }

  static async create(path: string): Promise<Npz> {
    return new Npz(await ZipFile.create(path));
  }

  /** An id is a name and no path, whoever unpacks the archive. */
  nameOf(id: string): string {
    return id.replaceAll(/[/\\]/g, '_').replace(/^\.+/, '_');
  }

  add(name: string, rows: number, width: number, numbers: Float32Array): Promise<void> {
    const header = npyHeader('<f4', [rows, width]);
    return this.#zip.add(`${name}.npy`, header.length + numbers.byteLength, [header, bytesOf(numbers)]);
  }

  finish(): Promise<void> {
    return this.#zip.finish();
  }

  abort(): Promise<void> {
    return this.#zip.abort();
  }
}

/** Ids as NumPy has them in an array of `<U{longest}`: four bytes for each letter, zeros behind. */
async function* texts(rows: EmbeddingRows): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  for await (const id of rows.ids()) {
    const bytes = Buffer.alloc(4 * rows.longest);
    let at = 0;
    for (const letter of id) at = bytes.writeUInt32LE(letter.codePointAt(0)!, at);
    if (waiting.push(bytes) < TOGETHER) continue;
    yield Buffer.concat(waiting);
    waiting = [];
  }
  yield Buffer.concat(waiting);
}

async function* joined(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}
