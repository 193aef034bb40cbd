/** @file Keeps resized images in memory, so that a run decodes each of them once. */

import type { ImageRequest } from './imageRequest.ts';
import type { LoadedPixels } from './loadImage.ts';

/**
 * Remembers answers by request until `maxBytes` are held; what comes later is made anew each time. Nothing is thrown out
 * again, because a run goes through all files over and over, and then the least recently used is needed next. What is
 * augmented, or is not a file, is not remembered.
 */
export class PixelCache {
  readonly #source: (request: ImageRequest) => Promise<LoadedPixels>;
  readonly #maxBytes: number;
  readonly #kept = new Map<string, LoadedPixels>();
  /** Images being read, so that two requests at once share one reading. */
  readonly #pending = new Map<string, Promise<LoadedPixels>>();
  #bytes = 0;

  constructor(source: (request: ImageRequest) => Promise<LoadedPixels>, maxBytes: number) {
    this.#source = source;
    this.#maxBytes = maxBytes;
  }

  /** The answer to `request`; shared between callers, who must not write to it. */
  async load(request: ImageRequest): Promise<LoadedPixels> {
    const key = keyOf(request);
    if (key === undefined) return this.#source(request);
    const known = this.#kept.get(key) ?? this.#pending.get(key);
    if (known) return known;
    const reading = this.#source(request).finally(() => this.#pending.delete(key));
    this.#pending.set(key, reading);
    const loaded = await reading;
    const bytes = bytesOf(loaded);
    if (this.#bytes + bytes <= this.#maxBytes) {
      this.#bytes += bytes;
      this.#kept.set(key, loaded);
    }
    return loaded;
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
