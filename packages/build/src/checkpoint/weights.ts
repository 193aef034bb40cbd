/** @file A checkpoint's tensors by the paths that modules have in torch, whatever names the file stores them under. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { dataTypeNumber, readFloats, type StoredTensor } from '@onnx-lora/sdk/plugin';
import type { ModuleNames } from './moduleNames.ts';
import type { Checkpoint } from './openCheckpoint.ts';

/** How tensors may be called, beside by their modules' paths. */
export interface Naming {
  /** What paths of the model without a head have before them where it has one: `bert`. */
  readonly prefix?: string;
  /** Names under both versions of transformers. */
  readonly names: ModuleNames;
}

/** A tensor of the checkpoint by the name that its parameter has in torch. */
export interface FoundTensor extends StoredTensor {
  /** The name in torch. */
  readonly name: string;
}

/** Buffers that libraries once saved, and that follow from the config. */
const buffers =
  /(?:^|\.)(?:position_ids|inv_freq|masked_bias|relative_position_index|num_batches_tracked|embed_positions\.(?:inv_freq|_float_tensor))$|\*/;
/** The causal mask of GPT-2 and GPT-NeoX, `[1, 1, n, n]`. */
const causalMask = /(?:^|\.)(?:attn|attention)\.bias$/;

/** Most names in one message. */
const NAMED = 12;

/** Finds tensors, and keeps count of what was found, what is missing and what does not fit. */
export class Weights {
  readonly #checkpoint: Checkpoint;
  readonly #naming: Naming;
  readonly #used = new Set<string>();
  readonly #problems: string[] = [];
  readonly #missing = new Set<string>();

  /** Of a checkpoint. */
  constructor(checkpoint: Checkpoint, naming: Naming) {
    this.#checkpoint = checkpoint;
    this.#naming = naming;
  }

  /** How many tensors the checkpoint has. */
  get size(): number {
    return this.#checkpoint.tensors.size;
  }

  /** Whether the checkpoint has a parameter. */
  has(name: string): boolean {
    return this.#stored(name) !== undefined;
  }

  /** The shape in which a parameter is stored; undefined where it is not. */
  dims(name: string): readonly number[] | undefined {
    const stored = this.#stored(name);
    return stored === undefined ? undefined : this.#checkpoint.tensors.get(stored)!.dims;
  }

  /**
   * A parameter, which counts as used. One that is missing, or of another shape, is remembered for
   * {@link Weights.requireComplete}.
   *
   * @param dims the shape that config.json gives it
   */
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

  /** Reads the numbers of a parameter, float32, when they are asked for; it is found, or missing, as {@link Weights.find} has it. */
  numbers(name: string, dims: readonly number[]): () => Float32Array {
    const found = this.find(name, dims);
    return () => {
      if (!found) throw new TypeError(`${name} is missing, which requireComplete says.`);
      return readFloats({ name, dims: [...dims], dataType: dataTypeNumber(found.type), rawData: found.bytes });
    };
  }

  /** Counts a parameter as used that is the same as another, such as a tied embedding. */
  use(name: string): void {
    const stored = this.#stored(name);
    if (stored !== undefined) this.#used.add(stored);
  }

  /** @throws OnnxLoraError `FILE_INVALID` that lists what is missing or has another shape */
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

  /** Tensors that nothing used, but for buffers and those that hold no numbers. */
  leftOver(): string[] {
    return [...this.#checkpoint.tensors].flatMap(([name, { dims }]) => {
      const isBuffer = buffers.test(name) || (causalMask.test(name) && dims.length === 4);
      return this.#used.has(name) || isBuffer || dims.includes(0) ? [] : [name];
    });
  }

  /** The name in the file of a parameter; undefined where the file does not have it. */
  #stored(name: string): string | undefined {
    return this.#names(name).find((each) => this.#checkpoint.tensors.has(each));
  }

  /** All that a parameter may be called, the usual first. */
  #names(name: string): string[] {
    const { prefix, names } = this.#naming;
    const beside = prefix === undefined ? [] : [name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : `${prefix}.${name}`]; // prettier-ignore
    const own = [name, ...beside].flatMap((each) => [each, legacyName(each)]);
    return [...own, names.ofParameter(name, 5)];
  }
}

/** What the parameters of a norm were called once: `LayerNorm.gamma`. */
function legacyName(name: string): string {
  return name.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta');
}

/** Some names of many. */
export function listed(names: readonly string[], separator = ', '): string {
  const more = names.length - NAMED;
  return names.slice(0, NAMED).join(separator) + (more > 0 ? ` and ${more} more` : '');
}

/** `1 tensor`, `3 tensors`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
