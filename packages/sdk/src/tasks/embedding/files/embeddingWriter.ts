/** @file Writes embeddings to files with constant memory, however many there are. */

import { extname } from '../../../platform/path.ts';
import { writeSafetensors } from '../../../adapter/formats/safetensors.ts';
import { OnnxLoraError } from '../../../errors.ts';
import { writeFileAtomic } from '../../../files/atomicWriter.ts';
import type { Tensor } from '../../../runtime/tensor.ts';
import { csvCell } from '../../../data/tables/cells.ts';
import type { AnswerWriter, Prediction } from '../../../plugin/predictor.ts';
import { joinVectors } from '../rows.ts';
import { type ArrayFile, type EmbeddingAnswer, EmbeddingRows } from './embeddingRows.ts';
import { createNpz, writeNpz } from './npz.ts';
import { createSafetensors, writeSafetensorsRows } from './safetensors.ts';

/** Writers by file ending: one array of all embeddings with their ids, or an array per id. */
const formats: Readonly<
  Record<string, { rows(path: string, rows: EmbeddingRows): Promise<void>; create(path: string): Promise<ArrayFile> }>
> = {
  '.npz': { rows: writeNpz, create: createNpz },
  '.safetensors': { rows: writeSafetensorsRows, create: createSafetensors },
};

/** Endings of files that {@link embeddingWriter} writes. */
export const embeddingEndings: readonly string[] = Object.keys(formats);

/**
 * Writes answers `{ id, embedding }` to a .npz or .safetensors file; undefined for other endings. With `whole`, the
 * file has `embeddings` float32 `[ids, width]` and `ids`, in safetensors a JSON list in the metadata. With `position`,
 * answers have a `position` from 1 on, and each id has an array `[positions, width]` of its name.
 */
export function embeddingWriter(path: string, of: 'whole' | 'position' = 'whole'): AnswerWriter | undefined {
  const format = formats[extname(path).toLowerCase()];
  if (!format) return undefined;
  let opened: Promise<EmbeddingRows | PositionArrays> | undefined;
  const open = (): Promise<EmbeddingRows | PositionArrays> =>
    (opened ??=
      of === 'whole' ? EmbeddingRows.create(path) : format.create(path).then((file) => new PositionArrays(file)));
  return {
    write: async (prediction) => (await open()).write(embeddingAnswer(prediction)),
    finish: async () => {
      const rows = await open();
      if (rows instanceof PositionArrays) return rows.finish();
      try {
        await format.rows(path, rows);
      } finally {
        await rows.abort();
      }
    },
    abort: async () => (await opened)?.abort(),
  };
}

/** @throws OnnxLoraError `INPUT_INVALID` for a prediction of another task */
function embeddingAnswer({ id, embedding, position }: Prediction): EmbeddingAnswer {
  if (typeof id !== 'string' || !(embedding instanceof Float32Array))
    throw new OnnxLoraError('INPUT_INVALID', 'Only answers { id, embedding } can be written as embeddings.');
  return { id, embedding, ...(typeof position === 'number' && { position }) };
}

/** Collects the embeddings of one id, and writes its array when the next id starts. */
class PositionArrays {
  readonly #file: ArrayFile;
  readonly #names = new Set<string>();
  #id = '';
  #rows: Float32Array[] = [];

  constructor(file: ArrayFile) {
    this.#file = file;
  }

  /** @throws OnnxLoraError `DATA_INVALID` for a repeated id */
  async write({ id, embedding, position }: EmbeddingAnswer): Promise<void> {
    if (position === 1 || id !== this.#id) {
      await this.#end();
      const name = this.#file.nameOf(id);
      if (this.#names.has(name)) {
        throw new OnnxLoraError(
          'DATA_INVALID',
          `Two sequences are called "${name}", and their embeddings are filed under these names. Give each its own.`,
        );
      }
      this.#names.add(name);
      this.#id = id;
    }
    this.#rows.push(embedding);
  }

  async finish(): Promise<void> {
    try {
      await this.#end();
    } catch (error) {
      await this.abort();
      throw error;
    }
    await this.#file.finish();
  }

  abort(): Promise<void> {
    return this.#file.abort();
  }

  async #end(): Promise<void> {
    if (this.#rows.length === 0) return;
    const { dims, data } = joinVectors(this.#rows);
    this.#rows = [];
    await this.#file.add(this.#file.nameOf(this.#id), dims[0]!, dims[1]!, data as Float32Array);
  }
}

/**
 * Writes embeddings `[files, width]` with the names of their files: `.safetensors` (tensor `embeddings`, and the names
 * as a JSON list `files` in the metadata) or `.csv` (a column `file`, then one per number). @throws OnnxLoraError
 * `INPUT_INVALID` for another ending or number of names
 */
export async function saveEmbeddings(path: string, files: readonly string[], embeddings: Tensor): Promise<void> {
  const [rows, width] = embeddings.dims;
  if (embeddings.dims.length !== 2 || rows !== files.length) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Embeddings [${embeddings.dims.join(', ')}] do not belong to ${files.length} files. Give as many names as there are rows.`,
    );
  }
  switch (extname(path).toLowerCase()) {
    case '.safetensors':
      return writeSafetensors(path, new Map([['embeddings', embeddings]]), { files: JSON.stringify(files) });
    case '.csv': {
      const columns = Array.from({ length: width! }, (_, i) => `e${i}`);
      const lines = files.map((file, i) =>
        [csvCell(file, ','), ...embeddings.data.slice(i * width!, (i + 1) * width!)].join(','),
      );
      return writeFileAtomic(path, `${[['file', ...columns].join(','), ...lines].join('\n')}\n`);
    }
    default:
      throw new OnnxLoraError('INPUT_INVALID', `"${path}" ends with neither .safetensors nor .csv. Name such a file.`);
  }
}
