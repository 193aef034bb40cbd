/** @file Writes NumPy's .npz archives. */

import { concatBytes, utf8 } from '../../../platform/bytes.ts';
import { packed } from '../../../files/packed.ts';
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
  const start = [Uint8Array.of(0x93, ...utf8('NUMPY'), 1, 0), packed('u16', length)];
  return concatBytes([...start, utf8(`${text.padEnd(length - 1)}\n`)]);
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
    const letters = new Uint32Array(rows.longest);
    letters.set(Array.from(id, (letter) => letter.codePointAt(0)!));
    if (waiting.push(new Uint8Array(letters.buffer)) < TOGETHER) continue;
    yield concatBytes(waiting);
    waiting = [];
  }
  yield concatBytes(waiting);
}

async function* joined(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}
