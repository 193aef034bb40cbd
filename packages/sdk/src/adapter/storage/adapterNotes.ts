/** @file Notes in the metadata of an adapter's safetensors file, which PEFT ignores. */

import { z } from 'zod';
import { OnnxLoraError } from '../../errors.ts';
import type { BasePrecision } from '../../ops/precision/precision.ts';
import type { QuantizedFrom } from '../../ops/quantization/forms.ts';
import type { InputSizes } from '../../ops/rewrites/inputSizes.ts';
import { parseForeignJson } from '../formats/foreignJson.ts';

/** How a head pools tokens, or positions of a map, into one row of features; `each` keeps them. */
export type HeadPool = 'first' | 'mean' | 'first-and-mean' | 'all' | 'each';

/** How a head is attached to a model without one. */
export interface AttachedHead {
  /** Module path of the head in the adapter: `classifier`. */
  readonly module: string;
  /** The graph output that it reads. */
  readonly output: string;
  /**
   * `first` reads the first token, `mean` the mean of tokens, `first-and-mean` both; `all` reads rows, or the mean of a
   * map `[batch, features, height, width]`; `each` scores every token or frame.
   */
  readonly pool: HeadPool;
  /** Leading tokens that `mean` omits, such as class and register tokens. */
  readonly skip: number;
  /** The input `[batch, tokens]` with 0 for padding, which `mean` omits. */
  readonly mask?: string | undefined;
  /** The first module of the head that it replaces: it reads that module's input instead of `output`. */
  readonly inPlaceOf?: string | undefined;
}

/** Notes of an adapter. */
export interface AdapterNotes {
  /** Name of its task. */
  readonly task?: string;
  /** Labels of the head's outputs, in order. */
  readonly labels?: readonly string[];
  /** How its head is attached, if the base has none. */
  readonly head?: AttachedHead;
  /** What the task has learned besides weights, such as a temperature, in the task's format. */
  readonly learned?: Readonly<Record<string, unknown>>;
  /**
   * Input sizes in training, if smaller than the base's: `{ input_features: { 2: { first: 550, spread: 600, last: 50 }
   * } }`. It works best with the same, `model.withInputSizes`.
   */
  readonly inputSizes?: InputSizes;
  /** The base's precision in training, if not float32. */
  readonly precision?: BasePrecision;
  /** Origin of its quantised base; `loftq` if the adapter also holds the quantisation error. */
  readonly quantizedBase?: QuantizedFrom & { readonly loftq?: boolean };
}

/** The note that all adapters share; undefined if they differ or lack it. */
export function commonNote<Key extends keyof AdapterNotes>(
  all: readonly AdapterNotes[],
  key: Key,
): AdapterNotes[Key] | undefined {
  const [first, ...others] = all.map((notes) => notes[key]);
  return others.every((each) => JSON.stringify(each) === JSON.stringify(first)) ? first : undefined;
}

const TASK = 'onnx_lora.task';
const LABELS = 'onnx_lora.labels';
const HEAD = 'onnx_lora.head';
const LEARNED = 'onnx_lora.learned';
const INPUT_SIZES = 'onnx_lora.input_sizes';
const PRECISION = 'onnx_lora.precision';
const QUANTIZED_BASE = 'onnx_lora.quantized_base';

const positions = z
  .int()
  .min(1)
  .max(2 ** 31);

/** Sizes by input and axis, within generous limits. */
export const inputSizesSchema: z.ZodType<InputSizes> = z.record(
  z.string().min(1),
  z.record(
    z.string().regex(/^\d$/),
    z.union([positions, z.strictObject({ first: positions, spread: positions, last: positions })]),
  ),
);

const productChoice = {
  smallest: z.int().min(1).max(1e12).optional(),
  inFloat32: z.array(z.string().min(1)).max(1e5).optional(),
};

/** Schema of a precision, within generous limits. */
export const precisionSchema: z.ZodType<BasePrecision> = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.enum(['int8', 'int8-backward']),
    saturates: z.boolean(),
    ...productChoice,
  }),
  z.strictObject({ name: z.literal('float16'), ...productChoice }),
]);

const sha256 = z.string().regex(/^[\da-f]{64}$/);
const blockSize = z.int().min(1).max(1 << 16); // prettier-ignore

/** Schema of a quantised model's origin. */
export const quantizedSchema: z.ZodType<QuantizedFrom> = z.union([
  z.object({ from: sha256, bits: z.literal(8) }),
  z.object({ from: sha256, bits: z.union([z.literal(4), z.literal('nf4')]), blockSize }),
]);

const schemas = {
  [TASK]: z.string().min(1),
  [LABELS]: z.array(z.string()).min(1),
  [HEAD]: z.strictObject({
    module: z.string().regex(/^[\w.-]+$/),
    output: z.string().min(1),
    pool: z.enum(['first', 'mean', 'first-and-mean', 'all', 'each']),
    skip: z.int().min(0).max(1e6),
    mask: z.string().min(1).optional(),
    inPlaceOf: z.string().min(1).optional(),
  }),
  [LEARNED]: z.record(z.string(), z.unknown()),
  [INPUT_SIZES]: inputSizesSchema,
  [PRECISION]: precisionSchema,
  [QUANTIZED_BASE]: z.intersection(quantizedSchema, z.object({ loftq: z.boolean().optional() })),
};

/** The notes as metadata of a safetensors file. */
export function formatNotes(notes: AdapterNotes): Record<string, string> {
  const { task, labels, head, learned, inputSizes, precision, quantizedBase } = notes;
  const entries = Object.entries({
    [TASK]: task,
    [LABELS]: labels,
    [HEAD]: head,
    [LEARNED]: learned,
    [INPUT_SIZES]: inputSizes,
    [PRECISION]: precision,
    [QUANTIZED_BASE]: quantizedBase,
  });
  return Object.fromEntries(
    entries.flatMap(([key, value]) => (value === undefined ? [] : [[key, JSON.stringify(value)]])),
  );
}

/**
 * Parses the notes in a file's metadata.
 *
 * @param file for errors
 * @throws OnnxLoraError `ADAPTER_INVALID` for an invalid entry
 */
export function parseNotes(metadata: Readonly<Record<string, string>>, file: string): AdapterNotes {
  const read = <K extends keyof typeof schemas>(key: K): z.infer<(typeof schemas)[K]> | undefined => {
    const text = metadata[key];
    if (text === undefined) return undefined;
    try {
      return schemas[key].parse(parseForeignJson(text)) as z.infer<(typeof schemas)[K]>;
    } catch (cause) {
      throw new OnnxLoraError(
        'ADAPTER_INVALID',
        `"${file}" has metadata "${key}" that is not what onnx-lora writes. Copy the adapter again, or train it again.`,
        { cause },
      );
    }
  };
  const all = {
    task: read(TASK),
    labels: read(LABELS),
    head: read(HEAD),
    learned: read(LEARNED),
    inputSizes: read(INPUT_SIZES),
    precision: read(PRECISION),
    quantizedBase: read(QUANTIZED_BASE),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as AdapterNotes;
}
