/** @file Pictures as pixels, and as the networks' numbers. */

import { OnnxLoraError, type Tensor, tensor } from '@onnx-lora/sdk';

/** RGB pixels. */
export interface Picture {
  /** Width in pixels. */
  readonly width: number;
  /** Height in pixels. */
  readonly height: number;
  /** Red, green and blue, 0 to 255: `[height, width, 3]`. */
  readonly data: Uint8Array;
}

/** @throws OnnxLoraError `INPUT_INVALID` for pixels of another size */
export function requirePicture(
  what: string,
  { width, height, data }: Picture,
  [w, h]: readonly [number, number],
): void {
  if (width === w && height === h && data.length === w * h * 3) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `${what} has ${width} x ${height} pixels in ${data.length} bytes, but the pictures are to have ${w} x ${h}, of 3 bytes each. Resize it before.`,
  );
}

/** Pixels from the decoder's `[batch, 3, height, width]` of −1 to 1. */
export function picturesOf({ data, dims }: Tensor): Picture[] {
  const [batch, , height, width] = dims as [number, number, number, number];
  const plane = height * width;
  return Array.from({ length: batch }, (_, row) => {
    const pixels = new Uint8Array(plane * 3);
    for (let c = 0; c < 3; c++)
      for (let i = 0; i < plane; i++) {
        const value = Number(data[(row * 3 + c) * plane + i]) / 2 + 0.5;
        pixels[i * 3 + c] = Math.round(Math.min(Math.max(value, 0), 1) * 255);
      }
    return { width, height, data: pixels };
  });
}

/** The encoder's `[batch, 3, height, width]` of −1 to 1 from pixels of one size. */
export function pixelsOf(pictures: readonly Picture[]): Tensor {
  const [{ width, height }] = pictures as [Picture];
  const plane = height * width;
  const values = new Float32Array(pictures.length * 3 * plane);
  pictures.forEach(({ data }, row) => {
    for (let c = 0; c < 3; c++)
      for (let i = 0; i < plane; i++) values[(row * 3 + c) * plane + i] = (data[i * 3 + c]! / 255) * 2 - 1;
  });
  return tensor('float32', values, [pictures.length, 3, height, width]);
}

/** Where a mask is light, 1, and elsewhere 0, at the size of latents: nearest pixels, as diffusers has it. */
export function maskOf({ width, height, data }: Picture, [w, h]: readonly [number, number]): Float32Array {
  const values = new Float32Array(w * h);
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const at = (Math.floor((y * height) / h) * width + Math.floor((x * width) / w)) * 3;
      values[y * w + x] = (data[at]! + data[at + 1]! + data[at + 2]!) / 3 >= 127.5 ? 1 : 0;
    }
  return values;
}
