/** @file `Adapter`: PEFT's config and tensors of an adapter. */

import { readdir } from '../platform/files.ts';
import { join } from '../platform/path.ts';
import { OnnxLoraError } from '../errors.ts';
import { knownOptions } from '../knownOptions.ts';
import { bytesPerElement, type Tensor } from '../runtime/tensor.ts';
import { type AdapterNotes, formatNotes } from './storage/adapterNotes.ts';
import { writeFolderAtomic } from '../files/replacement.ts';
import { refuseOverwrite, writeFailed } from '../files/atomicWriter.ts';
import { type AdapterConfig, formatAdapterConfig } from './formats/peftConfig.ts';
import { formatSafetensors } from './formats/safetensors.ts';
import { formatShards, INDEX_FILE, SHARD_NAME } from './storage/shardedWeights.ts';
import { PEFT_PREFIX } from './formats/tensorNames.ts';

/** Metadata key of the base's digest, which PEFT ignores. */
export const BASE_DIGEST = 'onnx_lora.base_sha256';

/** File names of a PEFT folder. */
export const CONFIG_FILE = 'adapter_config.json';
export const WEIGHTS_FILE = 'adapter_model.safetensors';

/** Options of {@link Adapter.save}. */
export interface SaveOptions {
  /**
   * Whether tensor names start with `base_model.model.`, as PEFT needs; by default true, except for loaded adapters.
   */
  readonly prefix?: boolean;
  /** Maximum bytes of tensors per file; more go into several files with an index. One file by default. */
  readonly maxShardBytes?: number;
  /** Replaces an existing adapter; by default it is an error. */
  readonly overwrite?: boolean;
}

const requireKnown = knownOptions<SaveOptions>('adapter.save', { prefix: true, maxShardBytes: true, overwrite: true });

/** A LoRA adapter. Immutable; created by training or `loadAdapter`. */
export class Adapter {
  /** Content of `adapter_config.json`. */
  readonly config: AdapterConfig;
  /** Tensors by PEFT's names, such as `base_model.model.encoder.query.lora_A.weight` of shape `[r, in]`. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** sha256 of the base's weights, if known. */
  readonly baseDigest: string | undefined;
  /** Labels, attached head, and values learned by the task, if any. */
  readonly notes: AdapterNotes;

  /** Creates an adapter from tensors in PEFT's naming and layout, without copying. */
  constructor(
    config: AdapterConfig,
    tensors: ReadonlyMap<string, Tensor>,
    baseDigest?: string,
    notes: AdapterNotes = {},
  ) {
    this.config = config;
    this.tensors = tensors;
    this.baseDigest = baseDigest;
    this.notes = notes;
  }

  /** Number of values. */
  get parameterCount(): number {
    return [...this.tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  }

  /** Bytes of the tensors on disk. */
  get byteLength(): number {
    return [...this.tensors.values()].reduce((sum, { data, type }) => sum + data.length * bytesPerElement(type), 0);
  }

  /**
   * Writes a PEFT folder atomically: `adapter_config.json` and `adapter_model.safetensors`, or several files with an
   * index.
   * @throws OnnxLoraError `FILE_INVALID` if the folder is not writable, or has an adapter without `overwrite`;
   *   `INPUT_INVALID` for a shard size that is not a positive integer
   */
  async save(folder: string, options: SaveOptions = {}): Promise<void> {
    requireKnown(options);
    const { prefix, maxShardBytes, overwrite } = options;
    const metadata = metadataOf(this);
    const tensors = prefix === undefined ? this.tensors : withPrefix(this.tensors, prefix);
    if (maxShardBytes !== undefined && !(Number.isSafeInteger(maxShardBytes) && maxShardBytes > 0)) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `maxShardBytes is ${maxShardBytes}. Pass a whole number of bytes above 0.`,
      );
    }
    const isOne = maxShardBytes === undefined || this.byteLength <= maxShardBytes;
    const old = await oldWeights(folder);
    refuseOverwrite(
      [CONFIG_FILE, ...Object.keys(old)].map((name) => join(folder, name)),
      { overwrite },
    );
    await writeFolderAtomic(folder, {
      ...old,
      ...(isOne
        ? { [WEIGHTS_FILE]: formatSafetensors(tensors, metadata) }
        : formatShards(tensors, metadata, maxShardBytes)),
      [CONFIG_FILE]: formatAdapterConfig(this.config),
    });
  }
}

/** The two files of a PEFT folder, by name. */
export function adapterFiles(adapter: Adapter): Record<string, Uint8Array | string> {
  return {
    [WEIGHTS_FILE]: formatSafetensors(adapter.tensors, metadataOf(adapter)),
    [CONFIG_FILE]: formatAdapterConfig(adapter.config),
  };
}

function metadataOf({ baseDigest, notes }: Adapter): Record<string, string> {
  return {
    format: 'pt',
    ...(baseDigest === undefined ? {} : { [BASE_DIGEST]: baseDigest }),
    ...formatNotes(notes),
  };
}

function withPrefix(tensors: ReadonlyMap<string, Tensor>, prefix: boolean): Map<string, Tensor> {
  return new Map(
    [...tensors].map(([name, tensor]) => {
      const bare = name.startsWith(PEFT_PREFIX) ? name.slice(PEFT_PREFIX.length) : name;
      return [prefix ? PEFT_PREFIX + bare : bare, tensor];
    }),
  );
}

/** Existing weight files, to be removed: a reader would attribute them to the new adapter. */
async function oldWeights(folder: string): Promise<Record<string, null>> {
  const names = await readdir(folder).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw writeFailed(folder, cause);
  });
  const old = names.filter((name) => name === WEIGHTS_FILE || name === INDEX_FILE || SHARD_NAME.test(name));
  return Object.fromEntries(old.map((name) => [name, null]));
}
