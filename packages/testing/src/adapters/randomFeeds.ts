/** @file One batch for a model, of random numbers. */

import { OnnxLoraError, float32, int64, type Tensor } from '@onnx-lora/sdk';
import { type TaskModel, sizeOf } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';

/** Options of {@link randomFeeds}. */
export interface RandomFeedsOptions {
  /** Sizes by the names of dynamic dimensions; 2 for the first dimension of an input, 4 for others by default. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Below which integers are drawn; 2 by default, so that masks and small vocabularies are served. */
  readonly integers?: number;
  /** 1 by default. */
  readonly seed?: number;
}

/**
 * A tensor for each input: floats are normally distributed, integers drawn from 0, bools true.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for an input whose shape the file does not say, or of another type
 */
export function randomFeeds(
  { inputs, name: model }: Pick<TaskModel, 'inputs' | 'name'>,
  { sizes = {}, integers = 2, seed = 1 }: RandomFeedsOptions = {},
): Record<string, Tensor> {
  const random = new Random(seed);
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { type, dims }]) => {
      const shape = dims?.map((size, i) => (typeof size === 'number' ? size : (sizes[size] ?? (i === 0 ? 2 : 4))));
      const count = sizeOf(shape ?? []);
      if (shape && type === 'float32') return [name, float32(Float32Array.from({ length: count }, () => random.normal()), shape)]; // prettier-ignore
      if (shape && type === 'int64') return [name, int64(Array.from({ length: count }, () => random.index(integers)), shape)]; // prettier-ignore
      if (shape && type === 'bool') return [name, { type, dims: shape, data: new Uint8Array(count).fill(1) }];
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `There are no random values for the input "${name}" of "${model}" (${type}, ${dims ? 'of known shape' : 'of unknown shape'}). Pass feeds of your own.`,
      );
    }),
  );
}
