/** @file Keeps decoded images in memory, for those that are augmented anew each time. */

import { type Image, type ImageDecoder, imageOf, type ImageLike } from '../image/image.ts';

/**
 * Decodes, and remembers files until `maxBytes` are held; what comes later is decoded each time. With augmentations nothing
 * after decoding is ever the same, and decoding is most of the work, above all of small images.
 */
export class DecodedImages {
  readonly #decoder: ImageDecoder;
  readonly #maxBytes: number;
  readonly #kept = new Map<string, Image>();
  #bytes = 0;

  constructor(decoder: ImageDecoder, maxBytes: number) {
    this.#decoder = decoder;
    this.#maxBytes = maxBytes;
  }

  /** The image; shared between callers, who must not write to it. Only paths are remembered. */
  async get(source: ImageLike): Promise<Image> {
    if (typeof source !== 'string') return imageOf(source, this.#decoder);
    const known = this.#kept.get(source);
    if (known) return known;
    const image = await this.#decoder.decode(source);
    if (!this.#kept.has(source) && this.#bytes + image.data.length <= this.#maxBytes) {
      this.#bytes += image.data.length;
      this.#kept.set(source, image);
    }
    return image;
  }
}
