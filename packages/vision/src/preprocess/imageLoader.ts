/** @file Loads images with their annotations for a model: in other threads where that can be, and from memory what never changes. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { BoundedCache, ThreadPool } from '@onnx-lora/sdk/data';
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
import { existsSync } from 'node:fs';
import { SharpDecoder } from '../image/sharpDecoder.ts';
import { ImagePreprocessor } from './preprocessor.ts';

/** An image as the model is fed it, and its annotations. It may be shared with others, who do not expect it to change. */
export interface LoadedImage extends ImageAnnotations {
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
}

/** Loads images for a model. */
export interface ImageLoader extends Preprocessor {
  /**
   * Decodes, augments and preprocesses an image, and brings its annotations along.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID`, naming the file
   */
  load(request: ImageRequest): Promise<LoadedImage>;
}

/** What an answer is remembered by; undefined of what is augmented, or is not of files alone. */
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

/** Options of {@link imageLoader}. */
export interface ImageLoaderOptions {
  /**
   * Most bytes of images that are kept in memory; 512 MB by default, 0 keeps none. Images that are not augmented are kept as
   * they are after resizing, others as they are after decoding, by each thread its share.
   */
  readonly cacheBytes?: number;
  /**
   * The threads, whose program is `imageThread.ts`; by default those that all loaders share.
   *
   * @hidden
   */
  readonly pool?: ThreadPool<ThreadRequest, LoadedPixels>;
}

/** The program of the threads, which lies beside this file once it is compiled. */
const program = new URL('./imageThread.js', import.meta.url);

/** A pool has at most so many. */
const THREADS = 2;

/** One for all loaders: threads take a moment to start. */
let shared: ThreadPool<ThreadRequest, LoadedPixels> | undefined;

/**
 * A loader for images that `preprocessor` prepares. Decoding, augmenting and resizing happen in other threads, except where
 * that cannot be: with a decoder of the user's own, which a thread does not know, and where a bundler has left the threads'
 * program behind. A preprocessor of the user's own is asked for tensors of files and nothing else.
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
  if (!(decoder instanceof SharpDecoder) || (!pool && !existsSync(program)))
    return pixelSource(preprocessor, cacheBytes);
  const threads = pool ?? (shared ??= new ThreadPool({ module: program, name: 'load' }));
  return async (request) => {
    try {
      return await threads.run({ request, plan, limits: decoder.limits, keepBytes: cacheBytes / THREADS });
    } catch (cause) {
      // Of an error only the message comes through.
      const isMissing = typeof request.image === 'string' && !existsSync(request.image);
      throw new OnnxLoraError(isMissing ? 'FILE_NOT_FOUND' : 'DATA_INVALID', (cause as Error).message, { cause });
    }
  };
}

/** Normalises in this thread: floats would take four times as long to come here, and four times the memory to keep. */
class ThreadedLoader implements ImageLoader {
  readonly #preprocessor: ImagePreprocessor;
  readonly #source: PixelSource;
  /** Resized images, so that a run decodes each of them once. */
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
    const size = { height, width };
    const geometry = {
      input: size,
      resized: size,
      scale: { x: 1, y: 1 },
      shift: { x: 0, y: 0 },
      content: size,
      output: size,
    };
    return { pixels, geometry };
  }
}
