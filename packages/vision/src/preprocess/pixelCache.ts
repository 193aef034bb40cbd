/** @file Keeps resized images in memory, so that a run decodes each of them once. */

import { FilledCache } from '@onnx-lora/sdk/data';
import type { ImageRequest } from './imageRequest.ts';
import type { LoadedPixels } from './loadImage.ts';

/** Keeps the pixels of files; what is augmented, or is not a file, is not remembered. */
export class PixelCache {
  readonly #source: (request: ImageRequest) => Promise<LoadedPixels>;
  readonly #cache: FilledCache<string, LoadedPixels>;

  constructor(source: (request: ImageRequest) => Promise<LoadedPixels>, maxBytes: number) {
    this.#source = source;
    this.#cache = new FilledCache(maxBytes, bytesOf);
  }

  /** The answer to `request`; shared between callers, who must not write to it. */
  async load(request: ImageRequest): Promise<LoadedPixels> {
    const key = keyOf(request);
    return key === undefined ? this.#source(request) : this.#cache.get(key, () => this.#source(request));
  }
}

function keyOf({
  image,
  masks = [],
  boxes,
  points,
  augmentations = [],
  annotations,
}: ImageRequest): string | undefined {
  if (typeof image !== 'string' || augmentations.length > 0) return undefined;
  if (masks.some(({ kind }) => kind === 'mask')) return undefined;
  // A Map would be written as {}.
  const parts = [image, masks, boxes, points, annotations];
  return JSON.stringify(parts, (_, value: unknown) => (value instanceof Map ? [...value] : value));
}

function bytesOf({ pixels, masks = [] }: LoadedPixels): number {
  return pixels.data.byteLength + masks.reduce((sum, { data }) => sum + data.byteLength, 0);
}
