/** @file Embeddings in a .safetensors file. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { AnswerWriter } from '@onnx-lora/sdk/tasks';
import { GrowingFile } from '@onnx-lora/sdk/data';
import { bytesOf, type EmbeddingAnswer, EmbeddingRows } from './embeddingRows.ts';
import { ResidueMatrices, type ResidueMatrix } from './residueMatrices.ts';

/** Readers refuse headers above this. */
const MOST_HEADER = 100_000_000;

/** One embedding per sequence: a tensor `embeddings` float32 `[sequences, width]`; the ids as a JSON list under `ids` of the metadata. */
export class SafetensorsWriter implements Omit<AnswerWriter, 'write'> {
  readonly #path: string;
  readonly #rows: EmbeddingRows;

  private constructor(path: string, rows: EmbeddingRows) {
    this.#path = path;
    this.#rows = rows;
  }

  static async create(path: string): Promise<SafetensorsWriter> {
    return new SafetensorsWriter(path, await EmbeddingRows.create(path));
  }

  write(answer: EmbeddingAnswer): Promise<void> {
    return this.#rows.add(answer);
  }

  async finish(): Promise<void> {
    const { count, width, numbers } = this.#rows;
    try {
      const header = await GrowingFile.create(`${this.#path}.header`);
      try {
        await header.append('{"__metadata__":{"ids":"[');
        let between = '';
        for await (const id of this.#rows.ids()) {
          // JSON inside of JSON.
          await header.append(between + JSON.stringify(JSON.stringify(id)).slice(1, -1));
          between = ',';
        }
        await header.append(`]"},"embeddings":${entry(count, width, 0)}}`);
        await write(this.#path, header, numbers);
      } finally {
        await header.abort();
      }
    } finally {
      await this.#rows.discard();
    }
  }

  abort(): Promise<void> {
    return this.#rows.discard();
  }
}

/** One tensor float32 `[residues, width]` per sequence, called as the sequence is. */
export class ResidueSafetensorsWriter implements Omit<AnswerWriter, 'write'> {
  readonly #path: string;
  readonly #header: GrowingFile;
  readonly #numbers: GrowingFile;
  readonly #matrices: ResidueMatrices;

  private constructor(path: string, header: GrowingFile, numbers: GrowingFile) {
    this.#path = path;
    this.#header = header;
    this.#numbers = numbers;
    this.#matrices = new ResidueMatrices((matrix) => this.#add(matrix));
  }

  static async create(path: string): Promise<ResidueSafetensorsWriter> {
    const header = await GrowingFile.create(`${path}.header`);
    try {
      return new ResidueSafetensorsWriter(path, header, await GrowingFile.create(`${path}.numbers`));
    } catch (error) {
      await header.abort();
      throw error;
    }
  }

  write(answer: EmbeddingAnswer): Promise<void> {
    return this.#matrices.write(answer);
  }

  async finish(): Promise<void> {
    try {
      await this.#matrices.end();
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

  async #add({ name, rows, width, numbers }: ResidueMatrix): Promise<void> {
    if (name === '__metadata__') {
      throw new OnnxLoraError('DATA_INVALID', 'A safetensors file cannot hold a sequence called "__metadata__".');
    }
    const before = this.#header.size === 0 ? '{' : ',';
    await this.#header.append(`${before}${JSON.stringify(name)}:${entry(rows, width, this.#numbers.size)}`);
    await this.#numbers.append(bytesOf(numbers));
  }
}

/** What a header says of a tensor. */
function entry(rows: number, width: number, at: number): string {
  return `{"dtype":"F32","shape":[${rows},${width}],"data_offsets":[${at},${at + 4 * rows * width}]}`;
}

/** The file of a header and numbers: the header's length, the header with blanks behind, the numbers. */
async function write(path: string, header: GrowingFile, numbers: GrowingFile): Promise<void> {
  const length = Math.ceil(header.size / 8) * 8;
  if (length > MOST_HEADER) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The names of so many sequences do not fit into a .safetensors file, whose header has at most ${MOST_HEADER} bytes. Write a .npz file.`,
    );
  }
  const file = await GrowingFile.create(path);
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
