/** @file A checkpoint's tensors by torch module path, whatever their stored names. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { dataTypeNumber, readFloats, type StoredTensor } from '@onnx-lora/sdk/plugin';
import type { ModuleNames } from './moduleNames.ts';
import type { Checkpoint } from './openCheckpoint.ts';

/** Alternative names of tensors. */
export interface Naming {
  /** Path prefix of the bare model inside a model with a head: `bert`. */
  readonly prefix?: string;
  /** Names under both transformers versions. */
  readonly names: ModuleNames;
  /** Other names of a parameter that is stored once for several modules. */
  readonly copies?: (name: string) => readonly string[];
}

/** A checkpoint's tensor under its torch parameter name. */
export interface FoundTensor extends StoredTensor {
  /** The torch parameter name. */
  readonly name: string;
}

/** Buffers of older libraries, which follow from the config. */
const buffers =
  /(?:^|\.)(?:position_ids|inv_freq|masked_bias|relative_position_index|num_batches_tracked|embed_positions\.(?:inv_freq|_float_tensor))$|\*/;
/** Causal mask of GPT-2 and GPT-NeoX, `[1, 1, n, n]`. */
const causalMask = /(?:^|\.)(?:attn|attention)\.bias$/;

const NAMED = 12;

/** Finds tensors and records used, missing and misshapen ones. */
export class Weights {
  readonly #checkpoint: Checkpoint;
  readonly #naming: Naming;
  readonly #used = new Set<string>();
  readonly #problems: string[] = [];
  readonly #missing = new Set<string>();

  /** Wraps an opened checkpoint. */
  constructor(checkpoint: Checkpoint, naming: Naming) {
    this.#checkpoint = checkpoint;
    this.#naming = naming;
  }

  /** Number of tensors in the checkpoint. */
  get size(): number {
    return this.#checkpoint.tensors.size;
  }

  /** Whether the checkpoint has a parameter. */
  has(name: string): boolean {
    return this.#stored(name) !== undefined;
  }

  /** A parameter's stored shape, if present. */
  dims(name: string): readonly number[] | undefined {
    const stored = this.#stored(name);
    return stored === undefined ? undefined : this.#checkpoint.tensors.get(stored)!.dims;
  }

  /** Finds a parameter of a shape and marks it as used; failures are kept for {@link Weights.requireComplete}. */
  find(name: string, dims: readonly number[]): FoundTensor | undefined {
    const stored = this.#stored(name);
    if (stored === undefined) {
      this.#missing.add(name);
      return undefined;
    }
    this.#used.add(stored);
    const tensor = this.#checkpoint.tensors.get(stored)!;
    const isFloat = /float/.test(tensor.type);
    if (isFloat && tensor.dims.join() === dims.join()) return { name, ...tensor };
    const is = `"${stored}" is ${isFloat ? '' : `${tensor.type} `}[${tensor.dims.join(', ')}]`;
    this.#problems.push(`${is}, where config.json asks for [${dims.join(', ')}]`);
    return undefined;
  }

  /** A lazy float32 read of a parameter, found as by {@link Weights.find}. */
  numbers(name: string, dims: readonly number[]): () => Float32Array {
    const found = this.find(name, dims);
    return () => {
      if (!found) throw new TypeError(`${name} is missing, which requireComplete says.`);
      return readFloats({ name, dims: [...dims], dataType: dataTypeNumber(found.type), rawData: found.bytes });
    };
  }

  /** Marks a duplicate parameter, such as a tied embedding, as used. */
  use(name: string): void {
    const stored = this.#stored(name);
    if (stored !== undefined) this.#used.add(stored);
  }

  /** @throws OnnxLoraError `FILE_INVALID` listing missing or misshapen tensors */
  requireComplete(): void {
    const { folder } = this.#checkpoint;
    if (this.#missing.size > 0) {
      const names = listed([...this.#missing]);
      throw new OnnxLoraError(
        'FILE_INVALID',
        `The checkpoint "${folder}" lacks ${count(this.#missing.size, 'tensor')} that its config.json asks for: ${names}. Copy its files again; a model is not built with numbers that nobody trained.`,
      );
    }
    if (this.#problems.length === 0) return;
    throw new OnnxLoraError(
      'FILE_INVALID',
      `The checkpoint "${folder}" does not fit its config.json: ${listed(this.#problems, '; ')}. Use the config.json that the weights were saved with.`,
    );
  }

  /** Unused tensors, except buffers and empty ones. */
  leftOver(): string[] {
    return [...this.#checkpoint.tensors].flatMap(([name, { dims }]) => {
      const isBuffer = buffers.test(name) || (causalMask.test(name) && dims.length === 4);
      return this.#used.has(name) || isBuffer || dims.includes(0) ? [] : [name];
    });
  }

  #stored(name: string): string | undefined {
    const all = [name, ...(this.#naming.copies?.(name) ?? [])].flatMap((each) => this.#names(each));
    return all.find((each) => this.#checkpoint.tensors.has(each));
  }

  /** Candidate stored names of a parameter, the usual first. */
  #names(name: string): string[] {
    const { prefix, names } = this.#naming;
    const beside = prefix === undefined ? [] : [name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : `${prefix}.${name}`]; // prettier-ignore
    const own = [name, ...beside].flatMap((each) => [each, legacyName(each)]);
    return [...own, names.ofParameter(name, 5)];
  }
}

function legacyName(name: string): string {
  return name.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta');
}

/** Joins the first names of a list, with a count of the rest. */
export function listed(names: readonly string[], separator = ', '): string {
  const more = names.length - NAMED;
  return names.slice(0, NAMED).join(separator) + (more > 0 ? ` and ${more} more` : '');
}

/** `1 tensor`, `3 tensors`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
