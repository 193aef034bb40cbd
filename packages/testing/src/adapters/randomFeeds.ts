/** @file Random feeds for a model. */

import { OnnxLoraError, float32, int64, type Tensor } from '@onnx-lora/sdk';
import { type TaskModel, sizeOf } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';

/** Options of {@link randomFeeds}. */
export interface RandomFeedsOptions {
  /** Sizes of dynamic dimensions by name; by default 2 for an input's first dimension, 4 for others. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Exclusive upper bound of integers; 2 by default, which suits masks and small vocabularies. */
  readonly integers?: number;
  /** 1 by default. */
  readonly seed?: number;
}

/** A tensor per input: normal floats, integers from 0, bools of true. @throws OnnxLoraError `INPUT_INVALID` */
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
