/** @file An adapter as PEFT has it: a config and tensors under PEFT's own names. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OnnxLoraError } from '../errors.ts';
import { knownOptions } from '../knownOptions.ts';
import { bytesPerElement, type Tensor } from '../runtime/tensor.ts';
import { type AdapterNotes, formatNotes } from './storage/adapterNotes.ts';
import { writeFolderAtomic } from '../files/replacement.ts';
import { requireUnused, writeFailed } from '../files/atomicWriter.ts';
import { type AdapterConfig, formatAdapterConfig } from './formats/peftConfig.ts';
import { formatSafetensors } from './formats/safetensors.ts';
import { formatShards, INDEX_FILE, SHARD_NAME } from './storage/shardedWeights.ts';
import { PEFT_PREFIX } from './formats/tensorNames.ts';

/** Key of the safetensors metadata under which the digest of the base's weights is kept; PEFT ignores it. */
export const BASE_DIGEST = 'onnx_lora.base_sha256';

/** File names of a PEFT folder. */
export const CONFIG_FILE = 'adapter_config.json';
export const WEIGHTS_FILE = 'adapter_model.safetensors';

/** How {@link Adapter.save} writes a folder. */
export interface SaveOptions {
  /**
   * Whether names of tensors begin with `base_model.model.`, as PEFT needs them. An adapter that was read keeps its names
   * by default, so that it is written as it was; all others have the prefix.
   */
  readonly prefix?: boolean;
  /** Bytes of tensors for one file; more of them go to several files that an index lists. One file by default. */
  readonly maxShardBytes?: number;
  /** Replaces an adapter that is there; without it, one that is there is an error. */
  readonly overwrite?: boolean;
}

const requireKnown = knownOptions<SaveOptions>('adapter.save', { prefix: true, maxShardBytes: true, overwrite: true });

/** A LoRA adapter. Immutable; made by training, or by `loadAdapter`. */
export class Adapter {
  /** What `adapter_config.json` says. */
  readonly config: AdapterConfig;
  /** Tensors by PEFT's names, such as `base_model.model.encoder.query.lora_A.weight` of shape `[r, in]`. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** sha256 of the base model's weights that the adapter was trained on, where it is known. */
  readonly baseDigest: string | undefined;
  /** Labels of its head, how that is attached, what the task has learned; each where there is such. */
  readonly notes: AdapterNotes;

  /** From its parts. `tensors` are under PEFT's names and in PEFT's layout, and are not copied. */
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

  /** How many numbers the adapter holds. */
  get parameterCount(): number {
    return [...this.tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  }

  /** Bytes that the tensors take on disk. */
  get byteLength(): number {
    return [...this.tensors.values()].reduce((sum, { data, type }) => sum + data.length * bytesPerElement(type), 0);
  }

  /**
   * Writes a PEFT folder: `adapter_config.json` beside `adapter_model.safetensors`, or beside several files and their index.
   * A reader never sees half of it, or an older adapter's tensors.
   *
   * @throws OnnxLoraError `FILE_INVALID` when the folder cannot be written, or has an adapter and `overwrite` is not true; `INPUT_INVALID` for a shard size that is no whole
   *   number above 0
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
    requireUnused(
      [CONFIG_FILE, ...Object.keys(old)].map((name) => join(folder, name)),
      { overwrite },
    );
    await writeFolderAtomic(folder, {
      ...old,
      ...(isOne
        ? { [WEIGHTS_FILE]: formatSafetensors(tensors, metadata) }
        : formatShards({ tensors, metadata }, maxShardBytes)),
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

/** Files of tensors that are in a folder already, to be removed: a reader would take them for the new adapter's. */
async function oldWeights(folder: string): Promise<Record<string, null>> {
  const names = await readdir(folder).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw writeFailed(folder, cause);
  });
  const old = names.filter((name) => name === WEIGHTS_FILE || name === INDEX_FILE || SHARD_NAME.test(name));
  return Object.fromEntries(old.map((name) => [name, null]));
}
