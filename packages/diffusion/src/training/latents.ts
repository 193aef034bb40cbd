/** @file Latents of training pictures, encoded once. */

import path from 'node:path';
import { openModel, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { ImageRecord } from '@onnx-lora/vision';
import { resize, ImageFileDecoder } from '@onnx-lora/vision';
import { withSourceLocation } from '@onnx-lora/sdk/data';
import { type Picture, pixelsOf } from '../pipeline/pictures.ts';

/** Means and logarithms of variances of a picture's latents, `[2 · channels, height, width]` flat. */
export type Moments = Float32Array;

/** A picture cut to a square in its middle and resized. @throws OnnxLoraError `DATA_INVALID` naming the file */
async function trainingPicture(record: ImageRecord, size: number): Promise<Picture> {
  const image = await withSourceLocation(record, () => new ImageFileDecoder().decode(record.file));
  const scale = size / Math.min(image.width, image.height);
  const [width, height] = [Math.max(size, Math.round(image.width * scale)), Math.max(size, Math.round(image.height * scale))]; // prettier-ignore
  const window = {
    left: Math.floor((width - size) / 2),
    top: Math.floor((height - size) / 2),
    width: size,
    height: size,
  };
  return resize(image, height, width, 'lanczos', window);
}

/**
 * Encodes pictures one by one.
 * @param folder the pipeline's, with `vae_encoder`
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `DATA_INVALID`
 */
export async function encodeMoments(folder: string, records: readonly ImageRecord[], size: number): Promise<Moments[]> {
  const encoder = await openModel(path.join(folder, 'vae_encoder'));
  const session = await encoder.session();
  try {
    const [[input], [output]] = [Object.keys(encoder.inputs), Object.keys(encoder.outputs)] as [[string], [string]];
    const all: Moments[] = [];
    for (const record of records) {
      const pixels = pixelsOf([await trainingPicture(record, size)]);
      const moments: Tensor = (await session.run({ [input]: pixels }))[output]!;
      if (moments.type !== 'float32') throw new OnnxLoraError('MODEL_UNSUPPORTED', `The VAE encoder of "${folder}" gives ${moments.type}. Export it in float32.`); // prettier-ignore
      all.push(moments.data as Float32Array);
    }
    return all;
  } finally {
    await session.release();
  }
}
