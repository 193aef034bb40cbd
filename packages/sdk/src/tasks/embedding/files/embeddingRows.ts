/** @file Buffers embeddings on disk until their number is known. */

import { concatBytes } from '../../../platform/bytes.ts';
import { OnnxLoraError } from '../../../errors.ts';
import { type AtomicWriter, atomicWriters } from '../../../files/atomicWriter.ts';

/** A file of named arrays. */
export interface ArrayFile {
  /** Adds an array float32 `[rows, width]`. */
  add(name: string, rows: number, width: number, numbers: Float32Array): Promise<void>;
  /** Name of the array for an id. */
  nameOf(id: string): string;
  /** Completes the file. */
  finish(): Promise<void>;
  /** Discards the file. */
  abort(): Promise<void>;
}

export interface EmbeddingAnswer {
  readonly id: string;
  readonly embedding: Float32Array;
  readonly position?: number;
}

/** The bytes of numbers, little-endian. */
export function bytesOf(numbers: Float32Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

/** Buffers rows of numbers in one file, and ids in another as one JSON string per line. */
export class EmbeddingRows {
  readonly numbers: AtomicWriter;
  readonly #ids: AtomicWriter;
  count = 0;
  width = 0;
  /** Characters of the longest id. */
  longest = 1;

  private constructor(numbers: AtomicWriter, ids: AtomicWriter) {
    this.numbers = numbers;
    this.#ids = ids;
  }

  /** Opens both files next to the target file. */
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

  /** The ids in order. */
  async *ids(): AsyncGenerator<string> {
    let rest = new Uint8Array();
    for await (const piece of this.#ids.content()) {
      rest = concatBytes([rest, piece]);
      let from = 0;
      for (let to = rest.indexOf(10); to >= 0; to = rest.indexOf(10, from)) {
        yield JSON.parse(new TextDecoder().decode(rest.subarray(from, to))) as string;
        from = to + 1;
      }
      rest = rest.subarray(from);
    }
  }

  /** Removes both files. */
  async abort(): Promise<void> {
    await this.numbers.abort();
    await this.#ids.abort();
  }
}
