/** @file Files of an adapter that somebody sends: bounded while they come, and known by their digest. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { type Adapter, loadAdapter } from '@onnx-lora/sdk';
import { AtomicWriter } from '@onnx-lora/sdk/data';
import { inputInvalid } from '../http/errors.ts';
import { ADAPTER_FILES } from './manifest.ts';

/** A file on its way. */
export interface IncomingFile {
  /** `adapter_config.json` or `adapter_model.safetensors`. */
  readonly name: string;
  /** Its bytes, where the client says how many: too many are refused before any is read. */
  readonly size?: number;
  /** What it holds, piece by piece. */
  readonly content: AsyncIterable<Uint8Array>;
}

/** How large the files of an adapter may be. */
export interface FileLimits {
  /** Bytes of `adapter_config.json`; 1 MiB by default. */
  readonly maxConfigBytes?: number;
  /** Bytes of `adapter_model.safetensors`; 512 MiB by default. */
  readonly maxWeightBytes?: number;
  /**
   * How many tensors an adapter may have, found when it is first asked for; by default as many as the format allows, which a header
   * can name by the million.
   */
  readonly maxTensors?: () => number;
}

type Sizes = Record<(typeof ADAPTER_FILES)[number], number>;

/**
 * Writes the files of an adapter into a folder.
 *
 * @returns their sizes
 * @throws OnnxLoraError `INPUT_INVALID` for a file that is too large, missing, or none of an adapter; `FILE_INVALID` where the
 *   disk refuses; what the content throws
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
        `"${file.name}" was sent, which is no file of an adapter or came twice. Send ${ADAPTER_FILES.join(' and ')}, each once.`,
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

/**
 * Loads an adapter whose files are no larger than they may be.
 *
 * @throws OnnxLoraError as `loadAdapter`; `FILE_INVALID` for too many tensors, of which none is read
 */
export async function loadBounded(folder: string, { maxTensors }: FileLimits): Promise<Adapter> {
  return loadAdapter(folder, maxTensors === undefined ? {} : { maxTensors: maxTensors() });
}

/** What an adapter is known by: sha256 of its files, one behind the other, the config first. In hexadecimal. */
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
