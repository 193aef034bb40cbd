/** @file Sharded adapters and checkpoints: several safetensors files with an index. */

import { existsSync } from '../../platform/files.ts';
import * as path from '../../platform/path.ts';
import { type ErrorCode, OnnxLoraError } from '../../errors.ts';
import { resolvesInside } from '../../graph/file/insideFolder.ts';
import { bytesPerElement, type Tensor } from '../../runtime/tensor.ts';
import { isObject, quote } from '../formats/foreignJson.ts';
import { pythonJson } from '../formats/pythonJson.ts';
import {
  formatSafetensors,
  openSafetensors,
  readSafetensors,
  type Safetensors,
  type StoredTensor,
} from '../formats/safetensors.ts';

/** Index file of an adapter. */
export const INDEX_FILE = 'adapter_model.safetensors.index.json';
/** Names of an adapter's shards. */
export const SHARD_NAME: RegExp = /^adapter_model-\d{5}-of-\d{5}\.safetensors$/;

interface ShardIndex {
  readonly files: ReadonlyMap<string, string>;
  /** Bytes of all tensors, if stated. */
  readonly totalSize: number | undefined;
  readonly pathOf: (shard: string) => string;
  readonly invalid: (what: string) => OnnxLoraError;
}

interface Sharded {
  readonly code: ErrorCode;
  readonly noun: string;
}

const adapterFiles: Sharded = { code: 'ADAPTER_INVALID', noun: 'adapter' };
const checkpointFiles: Sharded = { code: 'FILE_INVALID', noun: 'checkpoint' };

/**
 * Lists the tensors of a sharded checkpoint, reading only headers.
 * @param json the index
 * @param file its path
 * @throws OnnxLoraError `FILE_INVALID` for an invalid index, paths outside the folder, and contradictions to the files;
 *   `FILE_NOT_FOUND`
 */
export function openShards(json: unknown, file: string): ReadonlyMap<string, StoredTensor> {
  const index = parseIndex(json, file, checkpointFiles);
  const shards = [...new Set(index.files.values())].map((shard) => [shard, openSafetensors(index.pathOf(shard))] as const); // prettier-ignore
  const tensors = new Map(shards.flatMap(([shard, found]) => [...placedIn(shard, found, index)]));
  requireAll(tensors, index);
  return tensors;
}

/**
 * Reads the tensors that an index lists.
 * @param json the index
 * @param file its path
 * @param maxTensors limit per file
 * @throws OnnxLoraError `ADAPTER_INVALID` for an invalid index, paths outside the folder, and contradictions to the
 *   files; `FILE_NOT_FOUND` and `FILE_INVALID` as `readSafetensors`
 */
export async function readShards(json: unknown, file: string, maxTensors?: number): Promise<Safetensors> {
  const index = parseIndex(json, file, adapterFiles);
  const tensors = new Map<string, Tensor>();
  const metadata: Record<string, string> = {};
  for (const shard of new Set(index.files.values())) {
    const found = await readSafetensors(index.pathOf(shard), maxTensors);
    for (const [name, tensor] of placedIn(shard, found.tensors, index)) tensors.set(name, tensor);
    Object.assign(metadata, found.metadata);
  }
  requireAll(tensors, index);
  const { totalSize, invalid } = index;
  const bytes = [...tensors.values()].reduce((sum, tensor) => sum + byteSize(tensor), 0);
  if (totalSize !== undefined && totalSize !== bytes) {
    throw invalid(`it promises ${totalSize} bytes of tensors, but its files hold ${bytes}`);
  }
  return { tensors, metadata };
}

function placedIn<T>(shard: string, found: ReadonlyMap<string, T>, { files, invalid }: ShardIndex): typeof found {
  for (const name of found.keys()) {
    if (files.get(name) === shard) continue;
    throw invalid(`"${shard}" holds the tensor ${quote(name)}, which the index does not place there`);
  }
  return found;
}

function requireAll(tensors: ReadonlyMap<string, unknown>, { files, invalid }: ShardIndex): void {
  for (const [name, shard] of files) {
    if (!tensors.has(name)) throw invalid(`the tensor ${quote(name)} is missing from "${shard}"`);
  }
}

/**
 * Splits tensors into files of at most `maxBytes` each, with an index in Hugging Face's format. A larger tensor gets
 * its own file. Depends on names and sizes only, so that equal content gives equal files. Returns contents by file
 * name.
 * @throws OnnxLoraError `INPUT_INVALID` for a tensor that the format cannot hold
 */
export function formatShards(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>>,
  maxBytes: number,
): Record<string, Uint8Array | string> {
  const shards: Map<string, Tensor>[] = [];
  let [left, total] = [0, 0];
  for (const name of [...tensors.keys()].sort()) {
    const tensor = tensors.get(name)!;
    const size = byteSize(tensor);
    if (shards.length === 0 || size > left) {
      shards.push(new Map());
      left = maxBytes;
    }
    shards.at(-1)!.set(name, tensor);
    left -= size;
    total += size;
  }
  const digits = (count: number): string => String(count).padStart(5, '0');
  const files = shards.map((shard, i) => [`adapter_model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`, shard] as const); // prettier-ignore
  const places = files.flatMap(([file, shard]) => [...shard.keys()].map((name) => [name, file] as const));
  const index = new Map<string, unknown>([
    ['metadata', { total_size: total }],
    ['weight_map', Object.fromEntries(places)],
  ]);
  return {
    ...Object.fromEntries(files.map(([file, shard]) => [file, formatSafetensors(shard, metadata)])),
    [INDEX_FILE]: `${pythonJson(index, new Set())}\n`,
  };
}

function byteSize({ data, type }: Tensor): number {
  return data.length * bytesPerElement(type);
}

function parseIndex(json: unknown, file: string, { code, noun }: Sharded): ShardIndex {
  const invalid = (what: string): OnnxLoraError => {
    const remedy = `Copy or download the ${noun} again.`;
    const of = `${noun === 'adapter' ? 'an' : 'a'} ${noun}'s files`;
    return new OnnxLoraError(code, `"${file}" is not a valid index of ${of}: ${what}. ${remedy}`);
  };
  const { weight_map: map, metadata } = isObject(json) ? (json as Record<string, unknown>) : {};
  if (!isObject(map)) throw invalid('it has no "weight_map"');
  const files = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    if (typeof shard !== 'string') throw invalid(`its weight_map names no file for ${quote(name)}`);
    files.set(name, shard);
  }
  const total = isObject(metadata) ? (metadata as Record<string, unknown>)['total_size'] : undefined;
  const folder = path.dirname(path.resolve(file));
  const pathOf = (shard: string): string => {
    const found = path.join(folder, shard);
    if (!/^[^/\\\0]+\.safetensors$/.test(shard)) {
      throw invalid(`it names the file ${quote(shard)}, and only .safetensors files beside it are read`);
    }
    if (!existsSync(found)) {
      const message = `"${file}" names the missing file ${quote(shard)}. Copy all files of the ${noun}.`;
      throw new OnnxLoraError('FILE_NOT_FOUND', message);
    }
    if (resolvesInside(found, folder)) return found;
    throw invalid(`the file ${quote(shard)} is a link that leads out of the folder, which could read any file`);
  };
  return { files, totalSize: typeof total === 'number' ? total : undefined, pathOf, invalid };
}
