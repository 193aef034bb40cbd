/** @file An adapter as PEFT has it: a config and tensors under PEFT's own names. */

import { bytesPerElement, type Tensor } from '../runtime/tensor.ts';
import { writeFolderAtomic } from './atomicFile.ts';
import { type AdapterConfig, formatAdapterConfig } from './peftConfig.ts';
import { formatSafetensors } from './safetensors.ts';

/** Key of the safetensors metadata under which the digest of the base's weights is kept; PEFT ignores it. */
export const BASE_DIGEST = 'onnx_lora.base_sha256';

/** File names of a PEFT folder. */
export const CONFIG_FILE = 'adapter_config.json';
export const WEIGHTS_FILE = 'adapter_model.safetensors';

/** A LoRA adapter. Immutable; made by training, or by `loadAdapter`. */
export class Adapter {
  readonly config: AdapterConfig;
  /** Tensors by PEFT's names, such as `base_model.model.encoder.query.lora_A.weight` of shape `[r, in]`. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** sha256 of the base model's weights that the adapter was trained on, where it is known. */
  readonly baseDigest: string | undefined;

  constructor(config: AdapterConfig, tensors: ReadonlyMap<string, Tensor>, baseDigest?: string) {
    this.config = config;
    this.tensors = tensors;
    this.baseDigest = baseDigest;
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
   * Writes a PEFT folder (`adapter_config.json`, `adapter_model.safetensors`). A reader never sees half of it.
   *
   * @throws OnnxLoraError `FILE_INVALID` when the folder cannot be written
   */
  async save(folder: string): Promise<void> {
    const metadata = { format: 'pt', ...(this.baseDigest === undefined ? {} : { [BASE_DIGEST]: this.baseDigest }) };
    await writeFolderAtomic(folder, {
      [WEIGHTS_FILE]: formatSafetensors(this.tensors, metadata),
      [CONFIG_FILE]: formatAdapterConfig(this.config),
    });
  }
}
