/** @file One batch of random numbers for a model of the table. */

import { float32, int64, type Model, type Tensor } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { randomFeeds } from '@onnx-lora/testing';
import type { GivenInput, WildModel } from './models.ts';

/**
 * Feeds of the table's sizes and values; the test kit draws all others.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for an input of an unknown shape that the table does not describe
 */
export function feedsOf(model: Model, { sizes = {}, inputs = {} }: WildModel): Record<string, Tensor> {
  const rest = Object.fromEntries(Object.entries(model.inputs).filter(([name]) => !Object.hasOwn(inputs, name)));
  const random = new Random(7);
  return {
    ...randomFeeds({ name: model.name, inputs: rest }, { sizes }),
    ...Object.fromEntries(
      Object.entries(inputs).map(([name, given]) => [name, tensorOf(given, model.inputs[name]!.type, random)]),
    ),
  };
}

function tensorOf({ dims, values }: GivenInput, type: Tensor['type'], random: Random): Tensor {
  const size = dims.reduce((product, each) => product * each, 1);
  const [height = 1, width = 1] = dims.slice(-2);
  const draw = (i: number): number => {
    if (typeof values === 'number') return values;
    if (values === 'noise') return random.normal();
    if (values === 'quiet') return 0.1 * random.normal();
    if (values === 'pixels') return random.next();
    if (values === 'strokes') {
      const y = Math.floor(i / width) % height;
      return y > height / 3 && y < (2 * height) / 3 && (i % width) % 6 < 3 ? -2 : 2;
    }
    return random.index(values.below);
  };
  const numbers = Array.from({ length: size }, (_, i) => draw(i));
  if (type === 'int64') return int64(numbers, dims);
  if (type === 'int32') return { type, dims, data: Int32Array.from(numbers) };
  if (type === 'bool') return { type, dims, data: Uint8Array.from(numbers) };
  return float32(numbers, dims);
}
