/** @file Options and results of `quantize`. */

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
   * `8`: integer products, a scale per output of the weight and per row of the input; a quarter of the size, and faster.
   * `4`, for memory: integers in blocks with scale and zero point. `nf4`, for memory: QLoRA's 16 values, in blocks.
   */
  readonly bits: QuantizedBits;
  /** Block size of the 4-bit forms, a power of two from 16: 32 by default, 64 for `nf4`. */
  readonly blockSize?: number;
  /**
   * Layers with a larger relative error (of outputs if there are data) stay float32: 0.05 by default for 8 bits, else
   * 0.2.
   */
  readonly maxError?: number;
  /** Layers with smaller weights stay float32: 4,096 numbers by default. */
  readonly smallest?: number;
  /** Data to compare layers' outputs on: a task, or batches of feeds. Without, weights are compared. */
  readonly data?: CalibrationData;
  /** Number of a task's examples; 64 by default. */
  readonly examples?: number;
  /** LoftQ: also creates an initial adapter that best corrects the quantised weights. */
  readonly loftq?: LoftqOptions;
  /** Seed of LoftQ; 0 by default. */
  readonly seed?: number;
  /** Replaces existing files; by default they are an error. */
  readonly overwrite?: boolean;
  /** Called after each layer. */
  readonly onLayer?: (done: number, total: number, module: string) => void;
}

/** A quantised layer. */
export interface QuantizedLayer {
  /** torch's module path. */
  readonly module: string;
  /** Relative error of the weight: ‖difference‖ ÷ ‖weight‖. */
  readonly error: number;
  /** Relative error of the output, if there are data. */
  readonly outputError?: number;
  /** Relative error of the weight with LoftQ's product. */
  readonly errorWithAdapter?: number;
}

/** Result of `quantize`. */
export interface QuantizeResult {
  /** The .onnx files, and their companions. */
  readonly files: readonly string[];
  /** Bytes of all constants before. */
  readonly bytesBefore: number;
  /** Bytes of all constants after. */
  readonly bytesAfter: number;
  /** The quantised layers, in graph order. */
  readonly layers: readonly QuantizedLayer[];
  /** Requested layers that stay as they are. */
  readonly kept: readonly KeptLayer[];
  /** LoftQ's adapter, if requested: start training on the quantised model with it (`from`). */
  readonly adapter?: Adapter;
}

/** Smaller weights would save too little. */
const SMALLEST = 4096;
const BLOCK_SIZES: readonly number[] = [16, 32, 64, 128, 256];

/** Checked options with defaults. */
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
