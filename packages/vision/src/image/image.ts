/** @file What the package asks of an image library: a decoder that gives plain RGB pixels. */

/** Pixels as every step after decoding sees them. */
export interface Image {
  /** Pixels per row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** Red, green and blue, 0 to 255, row by row: `[height, width, 3]`. */
  readonly data: Uint8Array;
}

/** Reads image files. {@link SharpDecoder} is the one that is used when none is given. */
export interface ImageDecoder {
  /**
   * Decodes the first picture of a file, upright and without alpha.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND` when there is no such file, `DATA_INVALID` when it cannot be decoded;
   * both name the file
   */
  decode(file: string): Promise<Image>;
}
