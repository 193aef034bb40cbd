/** @file Writes embeddings to .safetensors files. */

import { OnnxLoraError } from '../../../errors.ts';
import { packed } from '../../../files/packed.ts';
import { AtomicWriter, atomicWriters, filled } from '../../../files/atomicWriter.ts';
import { type ArrayFile, bytesOf, type EmbeddingRows } from './embeddingRows.ts';

/** Readers reject larger headers. */
const MOST_HEADER = 100_000_000;

/** Writes a tensor `embeddings` float32 `[ids, width]`, and the ids as a JSON list in the metadata. */
export async function writeSafetensorsRows(path: string, rows: EmbeddingRows): Promise<void> {
  const header = await AtomicWriter.create(`${path}.header`);
  try {
    await header.append('{"__metadata__":{"ids":"[');
    let between = '';
    for await (const id of rows.ids()) {
      await header.append(between + JSON.stringify(JSON.stringify(id)).slice(1, -1));
      between = ',';
    }
    await header.append(`]"},"embeddings":${entry(rows.count, rows.width, 0)}}`);
    await write(path, header, rows.numbers);
  } finally {
    await header.abort();
  }
}

/** Opens a file with a tensor per id. */
export async function createSafetensors(path: string): Promise<ArrayFile> {
  const [header, numbers] = await atomicWriters(`${path}.header`, `${path}.numbers`);
  const abort = async (): Promise<void> => {
    await header.abort();
    await numbers.abort();
  };
  return {
    nameOf: (id) => id,
    add: async (name, rows, width, values) => {
      if (name === '__metadata__') {
        throw new OnnxLoraError('DATA_INVALID', 'A safetensors file cannot hold a sequence called "__metadata__".');
      }
      const before = header.size === 0 ? '{' : ',';
      await header.append(`${before}${JSON.stringify(name)}:${entry(rows, width, numbers.size)}`);
      await numbers.append(bytesOf(values));
    },
    finish: async () => {
      try {
        await header.append(header.size === 0 ? '{}' : '}');
        await write(path, header, numbers);
      } finally {
        await abort();
      }
    },
    abort,
  };
}

function entry(rows: number, width: number, at: number): string {
  return `{"dtype":"F32","shape":[${rows},${width}],"data_offsets":[${at},${at + 4 * rows * width}]}`;
}

async function write(path: string, header: AtomicWriter, numbers: AtomicWriter): Promise<void> {
  const length = Math.ceil(header.size / 8) * 8;
  if (length > MOST_HEADER) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The names of so many ids do not fit into a .safetensors file, whose header has at most ${MOST_HEADER} bytes. Write a .npz file.`,
    );
  }
  await filled(await AtomicWriter.create(path), async (file) => {
    await file.append(packed('u64', length));
    for await (const piece of header.content()) await file.append(piece);
    await file.append(' '.repeat(length - header.size));
    for await (const piece of numbers.content()) await file.append(piece);
  });
}
