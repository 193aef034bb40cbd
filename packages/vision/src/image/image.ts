/** @file RGB images, and the interface of image decoders. */

import { OnnxLoraError } from '@onnx-lora/sdk/data';

/** Decoded RGB pixels. */
export interface Image {
  /** Width in pixels. */
  readonly width: number;
  /** Height in pixels. */
  readonly height: number;
  /** Red, green and blue, 0 to 255: `[height, width, 3]`. */
  readonly data: Uint8Array;
}

/** An image: the path of a file, its bytes, or pixels. */
export type ImageLike = string | Uint8Array | Image;

/** Decodes image files; {@link ImageFileDecoder} by default. */
export interface ImageDecoder {
  /**
   * Decodes the first frame, upright and without alpha.
   * @param source the path of the file, or its bytes
   * @throws OnnxLoraError `FILE_NOT_FOUND`, or `DATA_INVALID` for an undecodable file; both name the file
   */
  decode(source: string | Uint8Array): Promise<Image>;
}

/** Decodes an image unless it is. @throws OnnxLoraError as {@link ImageDecoder.decode}; `INPUT_INVALID` for its size */
export async function imageOf(source: ImageLike, decoder: ImageDecoder): Promise<Image> {
  if (typeof source === 'string' || source instanceof Uint8Array) return decoder.decode(source);
  const { width, height, data } = source;
  const isWhole = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0;
  if (isWhole && data instanceof Uint8Array && data.length === width * height * 3) return source;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `An image of ${width} x ${height} pixels needs a Uint8Array of ${width * height * 3} values, red, green and blue of each pixel, but has ${data.length}. Drop alpha, and repeat gray three times.`,
  );
}

/** An image's name in messages. */
export function sourceName(source: ImageLike): string {
  if (typeof source === 'string') return source;
  return source instanceof Uint8Array
    ? `${source.length} bytes in memory`
    : `${source.width} x ${source.height} pixels`;
}
