/** @file Embeddings that wait on the disk until their number is known, with the ids of their sequences. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Prediction } from '@onnx-lora/sdk/tasks';
import { GrowingFile } from '@onnx-lora/sdk/data';

/** An answer of the embedding tasks. */
export interface EmbeddingAnswer {
  readonly id: string;
  readonly embedding: Float32Array;
  /** Number of the residue, from 1, where it is about one. */
  readonly position?: number;
}

/** @throws OnnxLoraError `INPUT_INVALID` for a prediction of another task */
export function embeddingAnswer({ id, embedding, position }: Prediction): EmbeddingAnswer {
  if (typeof id !== 'string' || !(embedding instanceof Float32Array)) {
    throw new OnnxLoraError('INPUT_INVALID', 'Only answers { id, embedding } can be written as embeddings.');
  }
  return { id, embedding, ...(typeof position === 'number' && { position }) };
}

/** The bytes of numbers, in the order that files have them. */
export function bytesOf(numbers: Float32Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

/** Rows of numbers in one file, ids in another, a JSON string a line. */
export class EmbeddingRows {
  readonly numbers: GrowingFile;
  readonly #ids: GrowingFile;
  count = 0;
  width = 0;
  /** Letters of the longest id. */
  longest = 1;

  private constructor(numbers: GrowingFile, ids: GrowingFile) {
    this.numbers = numbers;
    this.#ids = ids;
  }

  /** Begins both beside the file that is to be made of them. */
  static async create(path: string): Promise<EmbeddingRows> {
    const numbers = await GrowingFile.create(`${path}.numbers`);
    try {
      return new EmbeddingRows(numbers, await GrowingFile.create(`${path}.ids`));
    } catch (error) {
      await numbers.abort();
      throw error;
    }
  }

  /** @throws OnnxLoraError `INPUT_INVALID` for an embedding of another width than the first */
  async add({ id, embedding }: EmbeddingAnswer): Promise<void> {
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
  async discard(): Promise<void> {
    await this.numbers.abort();
    await this.#ids.abort();
  }
}
