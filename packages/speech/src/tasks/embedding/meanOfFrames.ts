/** @file One vector per recording from vectors of its frames. */

import { float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';

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
