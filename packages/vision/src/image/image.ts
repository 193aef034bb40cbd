/** @file What the package asks of an image library: a decoder that gives plain RGB pixels. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/** Pixels as every step after decoding sees them. */
export interface Image {
  /** Pixels per row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** Red, green and blue, 0 to 255, row by row: `[height, width, 3]`. */
  readonly data: Uint8Array;
}

/** An image wherever it is: the path of a file, the bytes of such a file, or its pixels. */
export type ImageLike = string | Uint8Array | Image;

/** Reads image files. {@link SharpDecoder} is the one that is used when none is given. */
export interface ImageDecoder {
  /**
   * Decodes the first picture of a file, upright and without alpha.
   *
   * @param source the path of the file, or its bytes
   * @throws OnnxLoraError `FILE_NOT_FOUND` when there is no such file, `DATA_INVALID` when it cannot be decoded;
   * both name the file
   */
  decode(source: string | Uint8Array): Promise<Image>;
}

/**
 * The pixels of an image that may not be decoded yet.
 *
 * @throws OnnxLoraError as {@link ImageDecoder.decode}; `INPUT_INVALID` when pixels are fewer or more than their size says
 */
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

/** What an image is called in messages. */
export function sourceName(source: ImageLike): string {
  if (typeof source === 'string') return source;
  return source instanceof Uint8Array
    ? `${source.length} bytes in memory`
    : `${source.width} x ${source.height} pixels`;
}
