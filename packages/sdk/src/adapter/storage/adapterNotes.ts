/** @file What an adapter says beside its tensors, in the metadata of its safetensors file, which PEFT ignores. */

import { z } from 'zod';
import { OnnxLoraError } from '../../errors.ts';
import type { BasePrecision } from '../../ops/precision/precision.ts';
import type { QuantizedFrom } from '../../ops/quantization/forms.ts';
import type { InputSizes } from '../../ops/rewrites/inputSizes.ts';
import { parseForeignJson } from '../formats/foreignJson.ts';

/** What a head makes one row of features from, where an output has several: tokens, or places of a map; `each` makes a row of each. */
export type HeadPool = 'first' | 'mean' | 'first-and-mean' | 'all' | 'each';

/** How a head is attached to a model that has none. */
export interface AttachedHead {
  /** Path of the module under which the adapter holds its weight and bias: `classifier`. */
  readonly module: string;
  /** The graph output that it reads. */
  readonly output: string;
  /**
   * `first` reads the first token, `mean` the mean of tokens, `first-and-mean` both, one after the other; `all` reads rows of
   * features as they are, and the mean of a map `[batch, features, height, width]`; `each` answers for each token or frame.
   */
  readonly pool: HeadPool;
  /** Tokens in front that `mean` leaves out, such as the class token and registers. */
  readonly skip: number;
  /** The input `[batch, tokens]` that is 0 for padding, which `mean` leaves out. */
  readonly mask?: string | undefined;
  /** The first module of the head that it takes the place of: it reads what that reads, in place of `output`. */
  readonly inPlaceOf?: string | undefined;
}

/** What an adapter says beside its tensors. */
export interface AdapterNotes {
  /** Name of the task that it was trained for. */
  readonly task?: string;
  /** What the outputs of its head stand for, in their order. */
  readonly labels?: readonly string[];
  /** How its head is attached, where the base has none. */
  readonly head?: AttachedHead;
  /** What the task has learned beside weights, such as a temperature; its own affair. */
  readonly learned?: Readonly<Record<string, unknown>>;
  /**
   * Sizes of inputs by name and axis with which it was trained, where they are smaller than the base's:
   * `{ input_features: { 2: { first: 550, spread: 600, last: 50 } } }` for a Whisper that heard five seconds. It answers best
   * with these, `model.withInputSizes`; an adapter without such a note is for the base as it is.
   */
  readonly inputSizes?: InputSizes;
  /** In what its base computed while it was trained, where that was not float32. */
  readonly precision?: BasePrecision;
  /** What its base was quantised from, where it was; `loftq` where the adapter also holds what that had lost. */
  readonly quantizedBase?: QuantizedFrom & { readonly loftq?: boolean };
}

/** What all these adapters note alike; undefined where one says otherwise, or nothing. */
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

/** Sizes by input and axis; no input has more axes, and no axis is longer. */
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

/** What a file says of a precision: no model has more products. */
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

/** What a file says of what it was quantised from. */
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

/** The notes as entries of a safetensors file's metadata. */
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
 * The notes of a safetensors file.
 *
 * @param file for errors
 * @throws OnnxLoraError `ADAPTER_INVALID` for an entry that is not what it should be
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
