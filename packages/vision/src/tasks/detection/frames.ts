/** @file Where images lie in a batch, as a tensor among its targets. */

import { tensor, type Feeds, type Tensor } from '@onnx-lora/sdk';
import type { Geometry } from '../../preprocess/geometry.ts';

/** Numbers per image: size of the model's input, scale and shift from the image to it, size of the image. */
const FRAME = 8;

/** Size of a batch's images, and how an image lies in it. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly geometry: Pick<Geometry, 'scale' | 'shift' | 'input'>;
}

/** The frames of a batch's images. */
export function framesOf({ frames }: Feeds): Frame[] {
  return Array.from({ length: frames!.dims[0]! }, (_, row) => {
    const [width = 0, height = 0, sx = 0, sy = 0, dx = 0, dy = 0, across = 0, down = 0] = Array.from(frames!.data.subarray(row * FRAME, (row + 1) * FRAME), Number); // prettier-ignore
    const input = { width: across, height: down };
    return { width, height, geometry: { scale: { x: sx, y: sy }, shift: { x: dx, y: dy }, input } };
  });
}

/** Inverts {@link framesOf}. */
export function frameTensor(frames: readonly Frame[]): Tensor {
  const numbers = frames.flatMap(({ width, height, geometry: { scale, shift, input } }) => [width, height, scale.x, scale.y, shift.x, shift.y, input.width, input.height]); // prettier-ignore
  return tensor('float64', Float64Array.from(numbers), [frames.length, FRAME]);
}
