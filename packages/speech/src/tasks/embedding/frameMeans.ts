/** @file Means over frames that are sound, of tensors and inside a graph, where targets say how many there are. */

import { float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { EmbeddingsOf, GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { frameLengths, framesOf } from '../frameTargets.ts';

/** Embeddings of a batch whose targets are those of `frameTargets`. */
export function embeddingsFrom(output: string): EmbeddingsOf {
  return (outputs, targets) => meanOfFrames(outputs[output], (row, frames) => framesOf(targets, frames)[row]!);
}

/**
 * The same as a graph fragment: `[batch, width]`.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` where the graph does not say the shape
 */
export function embeddingValue(g: GraphBuilder, states: Value, targets: Readonly<Record<string, Value>>): Value {
  const { shape } = states;
  if (shape?.length === 2) return states;
  const [batch, frames] = shape ?? [];
  if (shape?.length !== 3 || typeof batch !== 'number' || typeof frames !== 'number') {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The shape of "${states.name}" is not known from the graph, so no mean over its frames can be taken. Name an output [batch, width] or [batch, frames, width].`,
    );
  }
  const lengths = g.Max(g.Cast(frameLengths(g, targets, states), FLOAT), 1);
  const numbers = g.Cast(g.ints(Array.from({ length: frames }, (_, i) => i)), FLOAT);
  const isSound = g.Less(g.Reshape(numbers, [1, frames]), g.Reshape(lengths, [batch, 1]));
  const mask = g.Reshape(g.Cast(isSound, FLOAT), [batch, frames, 1]);
  const sum = g.ReduceSum(g.Mul(states, mask), [1], false);
  return g.Div(sum, g.Reshape(g.Min(lengths, frames), [batch, 1]));
}

/** ONNX's number of float32. */
const FLOAT = 1;

/**
 * Means over the frames of each row that are sound and not padding: float32 `[batch, width]`. A tensor without frames is taken
 * as it is.
 *
 * @param states float32 `[batch, frames, width]` or `[batch, width]`
 * @param framesOf how many of so many frames of a row are sound
 * @throws OnnxLoraError `INPUT_INVALID` for another shape; `LOSS_NOT_FINITE` for values that are no numbers
 */
export function meanOfFrames(states: Tensor | undefined, framesOf: (row: number, frames: number) => number): Tensor {
  const { data, dims = [] } = states ?? {};
  if (!(data instanceof Float32Array) || dims.length < 2 || dims.length > 3) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Features must be float32 [batch, width] or [batch, frames, width], but the session gave ${states ? `${states.type} [${dims.join(', ')}]` : 'nothing'}. Name another output.`,
    );
  }
  if (!data.every(Number.isFinite)) {
    throw new OnnxLoraError(
      'LOSS_NOT_FINITE',
      'The features hold values that are no numbers. The adapter has probably diverged: train it again with a lower learning rate.',
    );
  }
  if (dims.length === 2) return float32(data, dims);
  const [rows, frames, width] = dims as readonly [number, number, number];
  const result = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const count = Math.min(frames, Math.max(1, framesOf(row, frames)));
    for (let c = 0; c < width; c++) {
      let sum = 0;
      for (let frame = 0; frame < count; frame++) sum += data[(row * frames + frame) * width + c]!;
      result[row * width + c] = sum / count;
    }
  }
  return float32(result, [rows, width]);
}
