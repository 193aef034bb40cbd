/** @file Embeddings that wait on the disk until their number is known, and files of arrays that are made of them. */

import { OnnxLoraError } from '../../../errors.ts';
import { type AtomicWriter, atomicWriters } from '../../../files/atomicWriter.ts';

/** A file of named arrays that grows. */
export interface ArrayFile {
  /** Adds an array float32 `[rows, width]`. */
  add(name: string, rows: number, width: number, numbers: Float32Array): Promise<void>;
  /** What an array of this id is called. */
  nameOf(id: string): string;
  /** All arrays are there: the file appears. */
  finish(): Promise<void>;
  /** Takes back what was written. */
  abort(): Promise<void>;
}

/** An embedding, and what it is of. */
export interface EmbeddingAnswer {
  readonly id: string;
  readonly embedding: Float32Array;
  readonly position?: number;
}

/** The bytes of numbers, in the order that files have them. */
export function bytesOf(numbers: Float32Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

/** Rows of numbers wait in one file until their number is known, and ids in another, a JSON string a line. */
export class EmbeddingRows {
  readonly numbers: AtomicWriter;
  readonly #ids: AtomicWriter;
  count = 0;
  width = 0;
  /** Letters of the longest id. */
  longest = 1;

  private constructor(numbers: AtomicWriter, ids: AtomicWriter) {
    this.numbers = numbers;
    this.#ids = ids;
  }

  /** Begins both beside the file that is to be made of them. */
  static async create(path: string): Promise<EmbeddingRows> {
    return new EmbeddingRows(...(await atomicWriters(`${path}.numbers`, `${path}.ids`)));
  }

  /** @throws OnnxLoraError `INPUT_INVALID` for an embedding of another width than the first */
  async write({ id, embedding }: EmbeddingAnswer): Promise<void> {
    if (this.count === 0) this.width = embedding.length;
    if (embedding.length !== this.width) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `The embedding of "${id}" has ${embedding.length} numbers, and others have ${this.width}. Write those of one model to a file.`,
      );
    }
    await this.numbers.append(bytesOf(embedding.slice()));
    await this.#ids.append(`${JSON.stringify(id)}\n`);
    this.longest = Math.max(this.longest, [...id].length);
    this.count++;
  }

  /** The ids in their order. */
  async *ids(): AsyncGenerator<string> {
    let rest = Buffer.alloc(0);
    for await (const piece of this.#ids.content()) {
      rest = Buffer.concat([rest, piece]);
      let from = 0;
      for (let to = rest.indexOf(10); to >= 0; to = rest.indexOf(10, from)) {
        yield JSON.parse(rest.toString('utf8', from, to)) as string;
        from = to + 1;
      }
      rest = rest.subarray(from);
    }
  }

  /** Removes both. */
  async abort(): Promise<void> {
    await this.numbers.abort();
    await this.#ids.abort();
  }
}
