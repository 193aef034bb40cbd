/** @file Embeddings in a .npz file, NumPy's archive of arrays. */

import type { AnswerWriter } from '@onnx-lora/sdk/tasks';
import { bytesOf, type EmbeddingAnswer, EmbeddingRows } from './embeddingRows.ts';
import { ResidueMatrices, type ResidueMatrix } from './residueMatrices.ts';
import { ZipFile } from './zipFile.ts';

/** Headers are filled up with blanks to a multiple of so many bytes. */
const ALIGNED = 64;

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

/** The letters of a text as NumPy has it in an array of `<U{width}`: four bytes each, zeros behind. */
function npyText(text: string, width: number): Uint8Array {
  const bytes = Buffer.alloc(4 * width);
  let at = 0;
  for (const letter of text) at = bytes.writeUInt32LE(letter.codePointAt(0)!, at);
  return bytes;
}

/** Ids that are joined before they are written. */
const TOGETHER = 4096;

/**
 * One embedding per sequence: arrays `embeddings` float32 `[sequences, width]` and `ids`. How many there are is known at the end,
 * so rows wait beside the file until then.
 */
export class NpzWriter implements Omit<AnswerWriter, 'write'> {
  readonly #path: string;
  readonly #rows: EmbeddingRows;

  private constructor(path: string, rows: EmbeddingRows) {
    this.#path = path;
    this.#rows = rows;
  }

  static async create(path: string): Promise<NpzWriter> {
    return new NpzWriter(path, await EmbeddingRows.create(path));
  }

  write(answer: EmbeddingAnswer): Promise<void> {
    return this.#rows.add(answer);
  }

  async finish(): Promise<void> {
    const { count, width, longest, numbers } = this.#rows;
    try {
      const zip = await ZipFile.create(this.#path);
      try {
        const header = npyHeader('<f4', [count, width]);
        await zip.add('embeddings.npy', header.length + numbers.size, joined(header, numbers.content()));
        const names = npyHeader(`<U${longest}`, [count]);
        await zip.add('ids.npy', names.length + 4 * longest * count, joined(names, this.#texts()));
      } catch (error) {
        await zip.abort();
        throw error;
      }
      await zip.finish();
    } finally {
      await this.#rows.discard();
    }
  }

  abort(): Promise<void> {
    return this.#rows.discard();
  }

  async *#texts(): AsyncGenerator<Uint8Array> {
    let waiting: Uint8Array[] = [];
    for await (const id of this.#rows.ids()) {
      if (waiting.push(npyText(id, this.#rows.longest)) < TOGETHER) continue;
      yield Buffer.concat(waiting);
      waiting = [];
    }
    yield Buffer.concat(waiting);
  }
}

/** One array float32 `[residues, width]` per sequence, called as the sequence is. */
export class ResidueNpzWriter implements Omit<AnswerWriter, 'write'> {
  readonly #zip: ZipFile;
  readonly #matrices: ResidueMatrices;

  private constructor(zip: ZipFile) {
    this.#zip = zip;
    this.#matrices = new ResidueMatrices((matrix) => this.#add(matrix), plainName);
  }

  static async create(path: string): Promise<ResidueNpzWriter> {
    return new ResidueNpzWriter(await ZipFile.create(path));
  }

  write(answer: EmbeddingAnswer): Promise<void> {
    return this.#matrices.write(answer);
  }

  async finish(): Promise<void> {
    try {
      await this.#matrices.end();
    } catch (error) {
      await this.abort();
      throw error;
    }
    await this.#zip.finish();
  }

  abort(): Promise<void> {
    return this.#zip.abort();
  }

  #add({ name, rows, width, numbers }: ResidueMatrix): Promise<void> {
    const header = npyHeader('<f4', [rows, width]);
    return this.#zip.add(`${name}.npy`, header.length + numbers.byteLength, [header, bytesOf(numbers)]);
  }
}

/** An id is a name and no path, whoever unpacks the archive. */
function plainName(id: string): string {
  return id.replaceAll(/[/\\]/g, '_').replace(/^\.+/, '_');
}

async function* joined(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}
