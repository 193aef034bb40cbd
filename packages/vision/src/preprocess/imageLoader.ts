/** @file Loads images with annotations in worker threads, with a cache. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { BoundedCache, type ThreadPool } from '@onnx-lora/sdk/data';
import { existsSync } from '@onnx-lora/sdk/platform';
import type { Preprocessor } from '@onnx-lora/sdk/plugin';
import { sourceName } from '../image/image.ts';
import {
  type ImageAnnotations,
  type ImageRequest,
  type LoadedPixels,
  pixelSource,
  type PixelSource,
  type ThreadRequest,
} from './imageThread.ts';
import { loaderThreads } from './loaderThreads.ts';
import { ImageFileDecoder } from '../image/imageFileDecoder.ts';
import { geometryOf } from './geometry.ts';
import { ImagePreprocessor } from './preprocessor.ts';

/** A preprocessed image with its annotations. Cached and shared: do not change it. */
export interface LoadedImage extends ImageAnnotations {
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
}

/** Loads images for a model. */
export interface ImageLoader extends Preprocessor {
  /**
   * Decodes, augments and preprocesses an image with its annotations.
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID`, naming the file
   */
  load(request: ImageRequest): Promise<LoadedImage>;
}

/** Cache key; undefined for augmented images, and images or masks in memory. */
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
  // JSON writes a Map as {}.
  const parts = [image, masks, boxes, points, annotations];
  return JSON.stringify(parts, (_, value: unknown) => (value instanceof Map ? [...value] : value));
}

function bytesOf({ pixels, masks = [] }: LoadedPixels): number {
  return pixels.data.byteLength + masks.reduce((sum, { data }) => sum + data.byteLength, 0);
}

/** Options of {@link imageLoader}. */
export interface ImageLoaderOptions {
  /**
   * Most bytes of cached images; 512 MB by default, 0 disables the cache. Images are cached resized, or decoded if
   * augmented, in equal shares per thread.
   */
  readonly cacheBytes?: number;
  /**
   * The thread pool of `imageThread.ts`; shared by default.
   *
   * @hidden
   */
  readonly pool?: ThreadPool<ThreadRequest, LoadedPixels>;
}

const THREADS = 2;

/**
 * A loader of preprocessed images. Decoding, augmenting and resizing run in threads, unless the decoder is the user's
 * own, or a bundler dropped the worker file. A user's own preprocessor only gets files.
 */
export function imageLoader(preprocessor: Preprocessor, options: ImageLoaderOptions = {}): ImageLoader {
  if (!(preprocessor instanceof ImagePreprocessor)) return new ForeignLoader(preprocessor);
  const { cacheBytes = 512 * 1024 * 1024, pool } = options;
  return new ThreadedLoader(preprocessor, sourceOf(preprocessor, cacheBytes, pool), cacheBytes);
}

function sourceOf(
  preprocessor: ImagePreprocessor,
  cacheBytes: number,
  pool: ThreadPool<ThreadRequest, LoadedPixels> | undefined,
): PixelSource {
  const { plan, decoder } = preprocessor;
  const threads = decoder instanceof ImageFileDecoder ? (pool ?? loaderThreads()) : undefined;
  if (!threads || !(decoder instanceof ImageFileDecoder)) return pixelSource(preprocessor, cacheBytes);
  return async (request) => {
    try {
      return await threads.run({ request, plan, limits: decoder.limits, keepBytes: cacheBytes / THREADS });
    } catch (cause) {
      // Errors from a thread keep only their message.
      const isMissing = typeof request.image === 'string' && !existsSync(request.image);
      throw new OnnxLoraError(isMissing ? 'FILE_NOT_FOUND' : 'DATA_INVALID', (cause as Error).message, { cause });
    }
  };
}

/** Normalises in this thread, since floats would quadruple transfer time and memory. */
class ThreadedLoader implements ImageLoader {
  readonly #preprocessor: ImagePreprocessor;
  readonly #source: PixelSource;
  /** Resized images, decoded once per run. */
  readonly #kept: BoundedCache<string, LoadedPixels>;

  constructor(preprocessor: ImagePreprocessor, source: PixelSource, cacheBytes: number) {
    this.#preprocessor = preprocessor;
    this.#source = source;
    this.#kept = new BoundedCache(cacheBytes, bytesOf);
  }

  async load(request: ImageRequest): Promise<LoadedImage> {
    const key = keyOf(request);
    const source = (): Promise<LoadedPixels> => this.#source(request);
    const { pixels, ...annotations } = await (key === undefined ? source() : this.#kept.get(key, source));
    return { pixels: this.#preprocessor.tensor(pixels), ...annotations };
  }

  async preprocess(file: string): Promise<Tensor> {
    return (await this.load({ image: file })).pixels;
  }
}

class ForeignLoader implements ImageLoader {
  readonly #preprocessor: Preprocessor;

  constructor(preprocessor: Preprocessor) {
    this.#preprocessor = preprocessor;
  }

  preprocess(file: string): Promise<Tensor> {
    return this.#preprocessor.preprocess(file);
  }

  async load({ image, masks, boxes, points, augmentations }: ImageRequest): Promise<LoadedImage> {
    const asks = [masks, boxes, points, augmentations].some((each) => each && each.length > 0);
    if (typeof image !== 'string' || asks) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${sourceName(image)}": a preprocessor of your own can neither augment images nor move their annotations. Leave out augmentations and annotations, or describe the preprocessing in preprocessor_config.json.`,
      );
    }
    const pixels = await this.#preprocessor.preprocess(image);
    const [height = 0, width = 0] = pixels.dims.slice(-2);
    return { pixels, geometry: geometryOf({}, { height, width }) };
  }
}
