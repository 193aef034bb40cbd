/** @file Writes NumPy's .npz archives. */

import { filled } from '../../../files/atomicWriter.ts';
import { type ArrayFile, bytesOf, type EmbeddingRows } from './embeddingRows.ts';
import { ZipFile } from './zipFile.ts';

/** Headers are padded to a multiple of this. */
const ALIGNED = 64;
const TOGETHER = 4096;

/** Header of a .npy file (numpy.lib.format), version 1.0; `type` is NumPy's: `<f4`, `<U12`. */
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

/** Writes arrays `embeddings` float32 `[ids, width]` and `ids`. */
export async function writeNpz(path: string, rows: EmbeddingRows): Promise<void> {
  const { count, width, longest, numbers } = rows;
  await filled(await ZipFile.create(path), async (zip) => {
    const header = npyHeader('<f4', [count, width]);
    await zip.add('embeddings.npy', header.length + numbers.size, joined(header, numbers.content()));
    const names = npyHeader(`<U${longest}`, [count]);
    await zip.add('ids.npy', names.length + 4 * longest * count, joined(names, texts(rows)));
  });
}

/** Opens an archive with an array per id. */
export async function createNpz(path: string): Promise<ArrayFile> {
  const zip = await ZipFile.create(path);
  return {
    // A name, never a path, whoever unpacks the archive.
    nameOf: (id) => id.replaceAll(/[/\\]/g, '_').replace(/^\.+/, '_'),
    add: (name, rows, width, numbers) => {
      const header = npyHeader('<f4', [rows, width]);
      return zip.add(`${name}.npy`, header.length + numbers.byteLength, [header, bytesOf(numbers)]);
    },
    finish: () => zip.finish(),
    abort: () => zip.abort(),
  };
}

/** Ids as NumPy stores `<U{longest}`: four bytes per character, padded with zeros. */
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
