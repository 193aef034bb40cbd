/** @file Embeddings in a .safetensors file. */

import { OnnxLoraError } from '../../../errors.ts';
import { AtomicWriter, atomicWriters } from '../../../files/atomicWriter.ts';
import { type ArrayFile, bytesOf, type EmbeddingRows } from './embeddingRows.ts';

/** Readers refuse headers above this. */
const MOST_HEADER = 100_000_000;

/** A tensor `embeddings` float32 `[ids, width]`; the ids as a JSON list under `ids` of the metadata. */
export async function writeSafetensorsRows(path: string, rows: EmbeddingRows): Promise<void> {
  const header = await AtomicWriter.create(`${path}.header`);
  try {
    await header.append('{"__metadata__":{"ids":"[');
    let between = '';
    for await (const id of rows.ids()) {
      // JSON inside of JSON.
      await header.append(between + JSON.stringify(JSON.stringify(id)).slice(1, -1));
      between = ',';
    }
    await header.append(`]"},"embeddings":${entry(rows.count, rows.width, 0)}}`);
    await write(path, header, rows.numbers);
  } finally {
    await header.abort();
  }
}

/** A tensor for each id. */
export class Safetensors implements ArrayFile {
  readonly #path: string;
  readonly #header: AtomicWriter;
  readonly #numbers: AtomicWriter;

  private constructor(path: string, header: AtomicWriter, numbers: AtomicWriter) {
    this.#path = path;
    this.#header = header;
    this.#numbers = numbers;
  }

  static async create(path: string): Promise<Safetensors> {
    return new Safetensors(path, ...(await atomicWriters(`${path}.header`, `${path}.numbers`)));
  }

  nameOf(id: string): string {
    return id;
  }

  async add(name: string, rows: number, width: number, numbers: Float32Array): Promise<void> {
    if (name === '__metadata__') {
      throw new OnnxLoraError('DATA_INVALID', 'A safetensors file cannot hold a sequence called "__metadata__".');
    }
    const before = this.#header.size === 0 ? '{' : ',';
    await this.#header.append(`${before}${JSON.stringify(name)}:${entry(rows, width, this.#numbers.size)}`);
    await this.#numbers.append(bytesOf(numbers));
  }

  async finish(): Promise<void> {
    try {
      await this.#header.append(this.#header.size === 0 ? '{}' : '}');
      await write(this.#path, this.#header, this.#numbers);
    } finally {
      await this.abort();
    }
  }

  async abort(): Promise<void> {
    await this.#header.abort();
    await this.#numbers.abort();
  }
}

/** What a header says of a tensor. */
function entry(rows: number, width: number, at: number): string {
  return `{"dtype":"F32","shape":[${rows},${width}],"data_offsets":[${at},${at + 4 * rows * width}]}`;
}

/** The file of a header and numbers: the header's length, the header with blanks behind, the numbers. */
async function write(path: string, header: AtomicWriter, numbers: AtomicWriter): Promise<void> {
  const length = Math.ceil(header.size / 8) * 8;
  if (length > MOST_HEADER) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The names of so many ids do not fit into a .safetensors file, whose header has at most ${MOST_HEADER} bytes. Write a .npz file.`,
    );
  }
  const file = await AtomicWriter.create(path);
  try {
    const before = Buffer.alloc(8);
    before.writeBigUInt64LE(BigInt(length));
    await file.append(before);
    for await (const piece of header.content()) await file.append(piece);
    await file.append(' '.repeat(length - header.size));
    for await (const piece of numbers.content()) await file.append(piece);
  } catch (error) {
    await file.abort();
    throw error;
  }
  await file.finish();
}
