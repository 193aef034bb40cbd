/** @file Reads a LoRA file of image generation: its tensors by module and role, before any model is known. */

import { didYouMean } from '@onnx-lora/sdk/plugin';
import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { parseKey, type Role } from './keys.ts';

/** A tensor in a file. */
export interface FileTensor {
  /** Its key. */
  readonly key: string;
  /** The key after the module's name. */
  readonly suffix: string;
  /** Its values, in the file's type. */
  readonly tensor: Tensor;
}

/** A module in a file. */
export interface FileModule {
  /** The name before the suffix: `lora_unet_mid_block_attentions_0_proj_in`. */
  readonly name: string;
  /** Its tensors. */
  readonly tensors: ReadonlyMap<Role, FileTensor>;
}

/** A LoRA file. */
export interface LoraFile {
  /** Its path, for errors. */
  readonly file: string;
  /** Its modules in the file's order. */
  readonly modules: readonly FileModule[];
  /** The header's metadata: training settings of kohya's trainers, the config of diffusers. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** More tensors than any published file has. */
const MAX_TENSORS = 100_000;

/**
 * Reads a LoRA file in any layout of kohya, A1111, ComfyUI, LyCORIS, PEFT and diffusers.
 * @example
 * const file = await readLoraFile('style.safetensors');
 * console.log(describeLoraFile(file));
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `FILE_INVALID` for a pickle (`.ckpt`, `.bin`, `.pt`) and a damaged file;
 *   `ADAPTER_INVALID` naming the key that no known program writes, or two keys for one tensor
 */
export async function readLoraFile(file: string): Promise<LoraFile> {
  const { tensors, metadata } = await readSafetensors(file, MAX_TENSORS);
  return parseLoraFile(file, tensors, metadata);
}

/**
 * Sorts the tensors of a LoRA file by module and role.
 * @param file the file's name, for errors
 * @throws OnnxLoraError `ADAPTER_INVALID` as {@link readLoraFile}
 */
export function parseLoraFile(
  file: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): LoraFile {
  const modules = new Map<string, Map<Role, FileTensor>>();
  for (const [key, tensor] of tensors) {
    const parsed = parseKey(key);
    if (!parsed) throw unknownKey(file, key, 'ends as no tensor of a LoRA file does');
    const { name, suffix, role } = parsed;
    const own = modules.get(name) ?? new Map<Role, FileTensor>();
    const other = own.get(role);
    if (other) throw unknownKey(file, key, `says the same as ${JSON.stringify(other.key)}`);
    modules.set(name, own.set(role, { key, suffix, tensor }));
  }
  if (modules.size === 0) {
    throw new OnnxLoraError('ADAPTER_INVALID', `"${file}" holds no tensor, so it adapts nothing. Copy it again.`);
  }
  return { file, modules: [...modules].map(([name, own]) => ({ name, tensors: own })), metadata };
}

/** The error for a key, with names that look like it. */
export function unknownKey(file: string, key: string, problem: string, known: Iterable<string> = []): OnnxLoraError {
  const names = [...known];
  const guess = names.length > 0 ? didYouMean(parseKey(key)?.name ?? key, names) : '';
  return new OnnxLoraError(
    'ADAPTER_INVALID',
    `"${file}" holds the key ${JSON.stringify(key.slice(0, 300))}, which ${problem}.${guess} Name a file of LoRA tensors for the pipeline's models.`,
  );
}
