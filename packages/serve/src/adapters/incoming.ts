/** @file Receives an adapter's files within limits, and identifies them by digest. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { type Adapter, loadAdapter } from '@onnx-lora/sdk';
import { AtomicWriter } from '@onnx-lora/sdk/data';
import { inputInvalid } from '../http/errors.ts';
import { ADAPTER_FILES } from './manifest.ts';

/** A file being received. */
export interface IncomingFile {
  /** `adapter_config.json` or `adapter_model.safetensors`. */
  readonly name: string;
  /** Announced size: too large files are refused before reading. */
  readonly size?: number;
  /** Its content in pieces. */
  readonly content: AsyncIterable<Uint8Array>;
}

/** Limits on an adapter's files. */
export interface FileLimits {
  /** Maximum bytes of `adapter_config.json`; 1 MiB by default. */
  readonly maxConfigBytes?: number;
  /** Maximum bytes of `adapter_model.safetensors`; 512 MiB by default. */
  readonly maxWeightBytes?: number;
  /** Maximum number of tensors, evaluated when first needed; unlimited by default. */
  readonly maxTensors?: () => number;
}

type Sizes = Record<(typeof ADAPTER_FILES)[number], number>;

/**
 * Writes an adapter's files into a folder.
 * @returns their sizes
 * @throws OnnxLoraError `INPUT_INVALID` for a too large, missing or unknown file; `FILE_INVALID` where the disk
 *   refuses; as the content
 */
export async function receive(
  folder: string,
  files: AsyncIterable<IncomingFile> | Iterable<IncomingFile>,
  { maxConfigBytes = 2 ** 20, maxWeightBytes = 512 * 2 ** 20 }: FileLimits,
): Promise<Sizes> {
  const limits: Sizes = { 'adapter_config.json': maxConfigBytes, 'adapter_model.safetensors': maxWeightBytes };
  const sizes: Partial<Sizes> = {};
  for await (const file of files) {
    const name = ADAPTER_FILES.find((each) => each === file.name);
    if (!name || sizes[name] !== undefined)
      throw inputInvalid(
        `"${file.name}" is not a file of an adapter, or was sent twice. Send ${ADAPTER_FILES.join(' and ')}, each once.`,
      );
    if (file.size !== undefined && file.size > limits[name]) throw tooLarge(name, limits[name]);
    sizes[name] = await write(path.join(folder, name), file.content, limits[name]);
  }
  const missing = ADAPTER_FILES.find((name) => sizes[name] === undefined);
  if (missing) throw inputInvalid(`"${missing}" was not sent. Send ${ADAPTER_FILES.join(' and ')}.`);
  return sizes as Sizes;
}

async function write(target: string, content: AsyncIterable<Uint8Array>, limit: number): Promise<number> {
  const file = await AtomicWriter.create(target);
  try {
    for await (const piece of content) {
      if (file.size + piece.length > limit) throw tooLarge(path.basename(target), limit);
      await file.append(piece);
    }
    const { size } = file;
    await file.finish();
    return size;
  } catch (error) {
    await file.abort();
    throw error;
  }
}

/** Loads an adapter. @throws OnnxLoraError as `loadAdapter`; `FILE_INVALID` for too many tensors */
export async function loadBounded(folder: string, { maxTensors }: FileLimits): Promise<Adapter> {
  return loadAdapter(folder, maxTensors === undefined ? {} : { maxTensors: maxTensors() });
}

/** Hexadecimal sha256 of an adapter's files concatenated, config first. */
export async function digestOf(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of ADAPTER_FILES)
    for await (const piece of createReadStream(path.join(folder, name))) hash.update(piece as Buffer);
  return hash.digest('hex');
}

function tooLarge(name: string, limit: number): Error {
  return inputInvalid(
    `"${name}" has more than the ${limit} bytes that it may. Send a smaller adapter, such as one of a smaller rank.`,
  );
}
