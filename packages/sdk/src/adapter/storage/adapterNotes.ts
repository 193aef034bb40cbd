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
  /** Values that the task learned besides weights, such as a temperature, in the task's format. */
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
  z.strictObject({ name: z.enum(['int8', 'int8-backward']), saturates: z.boolean(), ...productChoice }),
  z.strictObject({ name: z.literal('float16'), ...productChoice }),
  z.strictObject({ name: z.literal('bfloat16') }),
]);

const sha256 = z.string().regex(/^[\da-f]{64}$/);
const blockSize = z.int().min(1).max(1 << 16); // prettier-ignore

/** Schema of a quantised model's origin. */
export const quantizedSchema: z.ZodType<QuantizedFrom> = z.union([
  z.object({ from: sha256, bits: z.literal(8) }),
  z.object({ from: sha256, bits: z.union([z.literal(4), z.literal('nf4')]), blockSize }),
]);

/** Metadata key and schema of each note. */
const entries: Readonly<Record<keyof AdapterNotes, readonly [key: string, schema: z.ZodType]>> = {
  task: ['onnx_lora.task', z.string().min(1)],
  labels: ['onnx_lora.labels', z.array(z.string()).min(1)],
  head: [
    'onnx_lora.head',
    z.strictObject({
      module: z.string().regex(/^[\w.-]+$/),
      output: z.string().min(1),
      pool: z.enum(['first', 'mean', 'first-and-mean', 'all', 'each']),
      skip: z.int().min(0).max(1e6),
      mask: z.string().min(1).optional(),
      inPlaceOf: z.string().min(1).optional(),
    }),
  ],
  learned: ['onnx_lora.learned', z.record(z.string(), z.unknown())],
  inputSizes: ['onnx_lora.input_sizes', inputSizesSchema],
  precision: ['onnx_lora.precision', precisionSchema],
  quantizedBase: [
    'onnx_lora.quantized_base',
    z.intersection(quantizedSchema, z.object({ loftq: z.boolean().optional() })),
  ],
};
const names = Object.keys(entries) as (keyof AdapterNotes)[];

/** The notes as metadata of a safetensors file. */
export function formatNotes(notes: AdapterNotes): Record<string, string> {
  const given = names.filter((name) => notes[name] !== undefined);
  return Object.fromEntries(given.map((name) => [entries[name][0], JSON.stringify(notes[name])]));
}

/** @throws OnnxLoraError `ADAPTER_INVALID` for an invalid entry in the metadata of `file` */
export function parseNotes(metadata: Readonly<Record<string, string>>, file: string): AdapterNotes {
  const given = names.filter((name) => metadata[entries[name][0]] !== undefined);
  return Object.fromEntries(
    given.map((name) => {
      const [key, schema] = entries[name];
      try {
        return [name, schema.parse(parseForeignJson(metadata[key]!))];
      } catch (cause) {
        throw new OnnxLoraError(
          'ADAPTER_INVALID',
          `"${file}" has metadata "${key}" that is not what onnx-lora writes. Copy the adapter again, or train it again.`,
          { cause },
        );
      }
    }),
  );
}
