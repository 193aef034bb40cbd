/** @file Opens files, compressed or not, and byte streams, and reports progress. */

import { createReadStream, gunzipped, stat } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { peeked } from '@onnx-lora/sdk/data';
import { notFound } from '@onnx-lora/sdk/plugin';

/** Bytes of an opened source. */
export interface OpenBytes {
  /** Name in messages. */
  readonly name: string;
  /** The decompressed bytes. Iterate once, or call `return`. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** The first decompressed bytes. */
  readonly head: Uint8Array;
  /** Bytes of the source, before decompression; undefined for a stream. */
  readonly total?: number;
  /** Bytes of the source read so far. */
  readonly read: () => number;
}

const GZIP = [0x1f, 0x8b] as const;
/** Bytes that reveal the format. */
const HEAD_BYTES = 1 << 12;

/**
 * Opens a file, or a stream such as standard input. Detects gzip (and bgzip) by its first bytes and decompresses while
 * reading, with one chunk in memory.
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `DATA_INVALID`; also while the bytes are read
 */
export async function openBytes(source: string | AsyncIterable<Uint8Array>): Promise<OpenBytes> {
  const isPath = typeof source === 'string';
  const name = isPath ? source : 'the input';
  const total = isPath ? await sizeOf(source) : undefined;
  let count = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of isPath ? createReadStream(source) : source) {
      count += chunk.length;
      yield chunk;
    }
  }
  const raw = await readable(name, peeked(counted(), GZIP.length));
  const isCompressed = GZIP.every((byte, i) => raw.head[i] === byte);
  const text = isCompressed ? await readable(name, peeked(gunzipped(raw.bytes), HEAD_BYTES)) : undefined;
  const { head, bytes } = text ?? (await readable(name, peeked(raw.bytes, HEAD_BYTES)));
  return { name, head, bytes: named(name, bytes), ...(total === undefined ? {} : { total }), read: () => count };
}

async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) {
      throw new OnnxLoraError('DATA_INVALID', `"${path}" is a folder, but a file is expected. Name a file in it.`);
    }
    return found.size;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

async function* named(name: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = bytes[Symbol.asyncIterator]();
  try {
    for (;;) {
      // Catches errors of the source, not of the consumer.
      const { value, done } = await readable(name, iterator.next());
      if (done) return;
      yield value;
    }
  } finally {
    await iterator.return?.();
  }
}

async function readable<T>(name: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (cause) {
    throw unreadable(name, cause);
  }
}

function unreadable(name: string, cause: unknown): unknown {
  if (cause instanceof OnnxLoraError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT') return notFound('file', name, { remedy: 'Check the path of the data.', cause });
  const isCompressed = code?.startsWith('Z_');
  return new OnnxLoraError(
    'DATA_INVALID',
    isCompressed
      ? `"${name}" is compressed, but cannot be decompressed: ${message}. It may have been cut off; copy it again.`
      : `"${name}" cannot be read: ${message}. Check that it is a file you may read.`,
    { cause },
  );
}
