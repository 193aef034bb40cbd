/** @file Reads and writes safetensors files, byte-identical to the reference library's. */

import { compareBytes, concatBytes, utf8 } from '../../platform/bytes.ts';
import { existsSync, type FileHandle, open } from '../../platform/files.ts';
import { OnnxLoraError } from '../../errors.ts';
import { type DataType, type Tensor, arrayOf, bytesPerElement, sizeOf } from '../../runtime/tensor.ts';
import { writeFileAtomic } from '../../files/atomicWriter.ts';
import { byteLength, type Bytes, type FileSlice, FileSource } from '../../graph/bytes.ts';
import {
  LENGTH_BYTES,
  type SafetensorsHeader,
  type TensorEntry,
  headerLength,
  parseHeader,
  safetensorsTypes,
} from './safetensorsHeader.ts';
import { notFound } from '../../files/notFound.ts';

/** Small files are read at once: their tensors are small, and each would be a separate read. */
const READ_AT_ONCE = 16 << 20;

/** Content of a safetensors file, in the header's order. */
export interface Safetensors {
  /** Tensors by name. */
  readonly tensors: Map<string, Tensor>;
  /** The header's `__metadata__`; empty if absent. */
  readonly metadata: Record<string, string>;
}

/** A tensor still in its file. */
export interface StoredTensor extends Pick<Tensor, 'type' | 'dims'> {
  /** Location of its data. */
  readonly bytes: FileSlice;
}

/**
 * Lists the tensors of a safetensors file, reading only its header.
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `FILE_INVALID` as {@link readSafetensors}
 */
export function openSafetensors(path: string): ReadonlyMap<string, StoredTensor> {
  return ofHeader(path, ({ entries }, start, identity) => {
    const stored = entries.map(({ name, type, dims, begin, end }) => {
      const bytes = { path, offset: start + begin, length: end - begin, identity };
      return [name, { type, dims, bytes }] as const;
    });
    return new Map(stored);
  });
}

/**
 * The `__metadata__` of a safetensors file, reading only its header; empty if absent.
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `FILE_INVALID` as {@link readSafetensors}
 */
export function safetensorsMetadata(path: string): Readonly<Record<string, string>> {
  return ofHeader(path, ({ metadata }) => metadata);
}

/** Reads a header; `start` is where its tensors begin. */
function ofHeader<T>(
  path: string,
  read: (header: SafetensorsHeader, start: number, identity: FileSource['identity']) => T,
): T {
  if (!existsSync(path)) throw notFound('file', path);
  const source = new FileSource(path);
  try {
    const length = headerLength(source.view(0, Math.min(LENGTH_BYTES, source.size)), source.size, path);
    const start = LENGTH_BYTES + length;
    return read(parseHeader(source.view(LENGTH_BYTES, length), source.size - start, path), start, source.identity);
  } finally {
    source.close();
  }
}

/**
 * Reads a safetensors file. Each tensor gets its own aligned memory.
 * @param maxTensors maximum number of tensors, which also limits the header; by default as the format
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `FILE_INVALID` for any violation of the format, and for a pickle, which is
 *   never opened
 */
export async function readSafetensors(path: string, maxTensors?: number): Promise<Safetensors> {
  const handle = await openToRead(path);
  try {
    const { size } = await handle.stat();
    if (size <= READ_AT_ONCE) return parseSafetensors(await readRange(handle, 0, size, path), path, maxTensors);
    const start = await readRange(handle, 0, Math.min(LENGTH_BYTES, size), path);
    const length = headerLength(start, size, path, maxTensors);
    const dataStart = LENGTH_BYTES + length;
    const header = parseHeader(await readRange(handle, LENGTH_BYTES, length, path), size - dataStart, path, maxTensors);
    const tensors = new Map<string, Tensor>();
    for (const entry of header.entries) {
      const tensor = allocate(entry, path);
      await fill(handle, bytesOf(tensor), dataStart + entry.begin, path);
      tensors.set(entry.name, tensor);
    }
    return { tensors, metadata: header.metadata };
  } finally {
    await handle.close();
  }
}

/**
 * Reads safetensors from memory, copying tensors; `name` is for errors.
 * @throws OnnxLoraError `FILE_INVALID` for any violation of the format
 */
export function parseSafetensors(bytes: Uint8Array, name: string, maxTensors?: number): Safetensors {
  const dataStart = LENGTH_BYTES + headerLength(bytes.subarray(0, LENGTH_BYTES), bytes.length, name, maxTensors);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, dataStart), bytes.length - dataStart, name, maxTensors);
  const tensors = new Map<string, Tensor>();
  for (const entry of header.entries) {
    const tensor = allocate(entry, name);
    bytesOf(tensor).set(bytes.subarray(dataStart + entry.begin, dataStart + entry.end));
    tensors.set(entry.name, tensor);
  }
  return { tensors, metadata: header.metadata };
}

/**
 * Writes a safetensors file atomically.
 * @param metadata free text; PEFT writes `{ format: 'pt' }`. Omitted if empty.
 * @throws OnnxLoraError `INPUT_INVALID` for a tensor that the format cannot hold, `FILE_INVALID` if writing fails
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeFileAtomic(path, formatSafetensors(tensors, metadata));
}

/**
 * The bytes of a safetensors file: wide types first, then by name, so that equal content gives equal bytes.
 * @throws OnnxLoraError `INPUT_INVALID` for a tensor that the format cannot hold
 */
export function formatSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const all = new Map(
    [...tensors].map(([name, tensor]) => [name, { ...tensor, bytes: bytesOf(checked(name, tensor)) }]),
  );
  const chunks = safetensorsChunks(all, metadata) as Uint8Array[];
  return new Uint8Array(concatBytes(chunks));
}

/** A tensor to write, from memory or a file. */
export interface TensorToStore extends Pick<Tensor, 'type' | 'dims'> {
  /** Little-endian. */
  readonly bytes: Bytes;
}

/**
 * A safetensors file as chunks: the header, then the tensors in order.
 * @throws OnnxLoraError `INPUT_INVALID` for a name that the format cannot hold
 */
export function safetensorsChunks(
  tensors: ReadonlyMap<string, TensorToStore>,
  metadata: Readonly<Record<string, string>> = {},
): Bytes[] {
  const entries = layOut(tensors);
  const members = entries.map(
    ({ name, type, dims, begin, end }) =>
      `${JSON.stringify(name)}:{"dtype":"${spellings.get(type)!}","shape":[${dims.join(',')}],"data_offsets":[${begin},${end}]}`,
  );
  if (Object.keys(metadata).length > 0) members.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const json = new TextEncoder().encode(`{${members.join(',')}}`);
  const dataStart = LENGTH_BYTES + Math.ceil(json.length / 8) * 8;
  const header = new Uint8Array(dataStart);
  new DataView(header.buffer).setBigUint64(0, BigInt(dataStart - LENGTH_BYTES), true);
  // Padded with spaces to align the data.
  header.fill(0x20, LENGTH_BYTES, dataStart);
  header.set(json, LENGTH_BYTES);
  return [header, ...entries.map(({ name }) => tensors.get(name)!.bytes)];
}

const spellings = new Map(Object.entries(safetensorsTypes).map(([spelling, type]) => [type, spelling]));
const layoutOrder = [...spellings.keys()];

function layOut(tensors: ReadonlyMap<string, TensorToStore>): TensorEntry[] {
  const sorted = [...tensors]
    .map(([name, tensor]) => ({ name, tensor, key: utf8(name) }))
    .sort((a, b) => rank(a.tensor.type) - rank(b.tensor.type) || compareBytes(a.key, b.key));
  let end = 0;
  return sorted.map(({ name, tensor: { type, dims, bytes }, key }) => {
    if (name === '__metadata__' || new TextDecoder('utf-8', { ignoreBOM: true }).decode(key) !== name) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `A safetensors file cannot hold a tensor named ${JSON.stringify(name)}.`,
      );
    }
    const begin = end;
    end += byteLength(bytes);
    return { name, type, dims, begin, end };
  });
}

/** @throws OnnxLoraError `INPUT_INVALID` if the data do not match type and shape */
function checked(name: string, tensor: Tensor): Tensor {
  const { type, dims, data } = tensor;
  if (data.length === sizeOf(dims) && data instanceof arrayOf(type)) return tensor;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `Tensor "${name}" says ${type} [${dims.join(', ')}] but holds ${data.length} values in a ${data.constructor.name}.`,
  );
}

function rank(type: DataType): number {
  return layoutOrder.indexOf(type);
}

function allocate({ name, type, dims, begin, end }: TensorEntry, file: string): Tensor {
  try {
    return { type, dims, data: new (arrayOf(type))((end - begin) / bytesPerElement(type)) };
  } catch (cause) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `"${file}": tensor "${name}" takes ${end - begin} bytes, more than this machine can hold in memory. Split the file.`,
      { cause },
    );
  }
}

function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

async function openToRead(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw notFound('file', path, { cause });
    throw new OnnxLoraError('FILE_INVALID', `"${path}" cannot be opened: ${message}. Check its rights.`, { cause });
  }
}

async function readRange(handle: FileHandle, offset: number, length: number, path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await fill(handle, bytes, offset, path);
  return bytes;
}

async function fill(handle: FileHandle, bytes: Uint8Array, offset: number, path: string): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    let count: number;
    try {
      // One read call returns at most 2 GiB.
      const wanted = Math.min(bytes.length - done, 1 << 30);
      ({ bytesRead: count } = await handle.read(bytes, done, wanted, offset + done));
    } catch (cause) {
      throw new OnnxLoraError('FILE_INVALID', `"${path}" cannot be read: ${(cause as Error).message}. Pass a file.`, {
        cause,
      });
    }
    if (count === 0) {
      throw new OnnxLoraError(
        'FILE_INVALID',
        `"${path}" became shorter while it was read. Try again once it is written.`,
      );
    }
    done += count;
  }
}
