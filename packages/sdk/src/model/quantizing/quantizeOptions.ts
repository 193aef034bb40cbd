/** @file What `quantize` takes and tells. */

import type { Adapter } from '../../adapter/adapter.ts';
import { OnnxLoraError } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import { type QuantizedBits, quantizedBits, type QuantizedForm } from '../../ops/quantization/forms.ts';
import { positive, whole } from '../../checks.ts';
import type { LoraOptions } from '../planning/loraOptions.ts';
import type { KeptLayer } from './chooseLayers.ts';
import type { LoftqOptions } from './loftq.ts';
import type { CalibrationData } from './outputErrors.ts';

/** Options of `quantize`. */
export interface QuantizeOptions extends Pick<LoraOptions, 'targetModules' | 'excludeModules'> {
  /**
   * `8`: products in integers, weights with a step for each output, what is multiplied in 8 bits with a step for each
   * row: about a quarter as large, and faster. `4`: integers in blocks with a step and a zero point each. `nf4`: the 16 numbers
   * of QLoRA, in blocks with the largest magnitude of each. Both are for memory.
   */
  readonly bits: QuantizedBits;
  /** Numbers of a block of 4 bits, a power of two of at least 16: 32 by default, and 64 for `nf4`. */
  readonly blockSize?: number;
  /**
   * Layers that are further off stay in float32, norm over norm: 0.05 of 8 bits by default, 0.2 of 4. Their output is meant where
   * there are data, else their weight.
   */
  readonly maxError?: number;
  /** Layers with fewer numbers in their weight stay in float32: 4,096 by default. */
  readonly smallest?: number;
  /** Data to measure what layers give on: a task, or what the model is fed. Without, weights alone are compared. */
  readonly data?: CalibrationData;
  /** How many examples of a task are measured; 64 by default. */
  readonly examples?: number;
  /**
   * LoftQ: also makes the adapter with which training begins, of all layers that are quantised. Its product and the weights in
   * fewer bits are together as near to the weights as they come. It is an adapter of the quantised model alone.
   */
  readonly loftq?: LoftqOptions;
  /** Seeds what of LoftQ is random; 0 by default. */
  readonly seed?: number;
  /** Replaces files that are there; without it, a file that is there is an error. */
  readonly overwrite?: boolean;
  /** Called after each layer. */
  readonly onLayer?: (done: number, total: number, module: string) => void;
}

/** A layer that was quantised. */
export interface QuantizedLayer {
  /** torch's module path. */
  readonly module: string;
  /** How far the weight is off: the Euclidean norm of the difference, in parts of that of the weight. */
  readonly error: number;
  /** The same of what the layer gives on the data, where there are data. */
  readonly outputError?: number;
  /** How far the weight is off with LoftQ's product. */
  readonly errorWithAdapter?: number;
}

/** What `quantize` wrote. */
export interface QuantizeResult {
  /** The .onnx files, and what lies beside them. */
  readonly files: readonly string[];
  /** Bytes of all constants before. */
  readonly bytesBefore: number;
  /** And after. */
  readonly bytesAfter: number;
  /** The layers that were quantised, in graph order. */
  readonly layers: readonly QuantizedLayer[];
  /** The linear layers that were asked for and stay as they are. */
  readonly kept: readonly KeptLayer[];
  /** LoftQ's, where it was asked for: an adapter of the quantised model, to begin training with (`from`). */
  readonly adapter?: Adapter;
}

/** Numbers of a weight: what smaller ones would save, nobody misses. */
const SMALLEST = 4096;
/** Blocks that ONNX Runtime's products of 4 bits know. */
const BLOCK_SIZES: readonly number[] = [16, 32, 64, 128, 256];

/** Options that have been checked, with their defaults. */
export interface CheckedOptions {
  readonly form: QuantizedForm;
  readonly maxError: number;
  readonly smallest: number;
  readonly examples: number;
}

// prettier-ignore
const requireKnown = knownOptions<QuantizeOptions>('quantize', {
  bits: true, blockSize: true, targetModules: true, excludeModules: true, maxError: true, smallest: true, data: true,
  examples: true, loftq: true, seed: true, overwrite: true, onLayer: true,
});
const requireKnownOfLoftq = knownOptions<LoftqOptions>('loftq', { r: true, loraAlpha: true, iterations: true });

/** @throws OnnxLoraError `CONFIG_INVALID` */
export function checkedOptions(options: QuantizeOptions): CheckedOptions {
  requireKnown(options);
  const form = formOf(options);
  requireLoftq(options);
  return {
    form,
    maxError: positive('maxError (--max-error)', options.maxError ?? (form.bits === 8 ? 0.05 : 0.2)),
    smallest: positive('smallest', options.smallest ?? SMALLEST),
    examples: whole('examples (--examples)', options.examples ?? 64, 1, 1_000_000),
  };
}

/** @throws OnnxLoraError `CONFIG_INVALID` */
function requireLoftq({ loftq, data }: QuantizeOptions): void {
  if (!loftq) return;
  requireKnownOfLoftq(loftq);
  whole('loftq.r (--loftq-rank)', loftq.r, 1, 65_536);
  whole('loftq.iterations (--loftq-iterations)', loftq.iterations ?? 1, 1, 1000);
  if (loftq.loraAlpha !== undefined) positive('loftq.loraAlpha', loftq.loraAlpha);
  if (data === undefined) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    'Data (--data) measure layers without an adapter, and LoftQ is for layers with one: their weights are compared. Leave one of the two out.',
  );
}

/** @throws OnnxLoraError `CONFIG_INVALID` */
function formOf({ bits, blockSize }: QuantizeOptions): QuantizedForm {
  if (!quantizedBits.includes(bits)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `bits (--bits) must be one of ${quantizedBits.join(', ')}, but it is ${JSON.stringify(bits)}.`,
    );
  }
  if (blockSize !== undefined && bits === 8) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'blockSize (--block-size) is for 4 bits and nf4: weights of 8 bits have one step for each output. Leave it out.',
    );
  }
  if (blockSize !== undefined && !BLOCK_SIZES.includes(blockSize)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `blockSize (--block-size) must be one of ${BLOCK_SIZES.join(', ')}, which ONNX Runtime has products for, but it is ${blockSize}.`,
    );
  }
  return bits === 8 ? { bits } : { bits, blockSize: blockSize ?? (bits === 4 ? 32 : 64) };
}
