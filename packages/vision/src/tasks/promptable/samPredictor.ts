/** @file Segments by prompts: the encoder runs once per image, the decoder per prompt. */

import { resolve, sha256, stat } from '@onnx-lora/sdk/platform';
import {
  type Adapter,
  type AdapterChoice,
  type AdapterSession,
  type Feeds,
  type Model,
  type ModelSessionOptions,
  OnnxLoraError,
  type Tensor,
} from '@onnx-lora/sdk';
import { fileIdentity } from '@onnx-lora/sdk/data';
import type { ImageLike } from '../../image/image.ts';
import type { ImageLoader } from '../../preprocess/imageLoader.ts';
import type { ImageReading } from '../imageTask.ts';
import { masksOf } from './imageMask.ts';
import { type InputPrompt, promptFeeds } from './prompt.ts';
import { PromptableImage } from './promptableImage.ts';
import { type MaskChoice, maskPorts, openSamImages, type SamPorts, samPorts } from './samPorts.ts';

/** An LRU cache of tensors, bounded in bytes. */
export class EmbeddingCache {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, { readonly tensors: Feeds; readonly bytes: number }>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The tensors of a key, if cached. */
  get(key: string): Feeds | undefined {
    const found = this.#entries.get(key);
    if (!found) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, found);
    return found.tensors;
  }

  /** Caches tensors, unless they exceed the bound. */
  set(key: string, tensors: Feeds): void {
    this.#remove(key);
    const bytes = Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0);
    if (bytes > this.#maxBytes) return;
    this.#entries.set(key, { tensors, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#remove(oldest);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #remove(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }
}

/** Options of {@link SamPredictor.create}. */
export interface SamPredictorOptions
  extends
    Omit<ModelSessionOptions, 'targetModules' | 'modulesToSave' | 'useDora'>,
    Pick<ImageReading, 'decoder' | 'preprocessors'> {
  /** Most bytes of cached embeddings; 512 MB by default, 60 images of the published models. 0 disables the cache. */
  readonly cacheBytes?: number;
  /** Masks per prompt; `several` by default. Use the adapter's training setting. */
  readonly masks?: MaskChoice;
}

/**
 * A SAM with any number of adapters. The encoder, which dominates, runs once per image and adapter and is cached.
 * @example
 * ```ts
 * const predictor = await SamPredictor.create(model, { adapters: { cells } });
 * const image = await predictor.setImage('slide.png', { adapter: 'cells' });
 * const { masks, best } = await image.predict({ points: [[420, 310]] });
 * const all = await image.generateMasks();
 * await predictor.release();
 * ```
 */
export class SamPredictor implements AsyncDisposable {
  readonly #model: Model;
  readonly #ports: SamPorts;
  readonly #isPadded: boolean;
  readonly #loader: ImageLoader;
  readonly #encoder: AdapterSession;
  readonly #decoder: AdapterSession;
  readonly #cache: EmbeddingCache;

  private constructor(
    model: Model,
    ports: SamPorts,
    { images, preprocessor }: Awaited<ReturnType<typeof openSamImages>>,
    sessions: { readonly encoder: AdapterSession; readonly decoder: AdapterSession },
    cacheBytes: number,
  ) {
    this.#model = model;
    this.#ports = ports;
    this.#isPadded = preprocessor.plan.pad !== undefined;
    this.#loader = images;
    this.#encoder = sessions.encoder;
    this.#decoder = sessions.decoder;
    this.#cache = new EmbeddingCache(cacheBytes);
  }

  /**
   * Loads both parts of the model.
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` for another model, or one in a single file; others as `model.session`
   */
  static async create(model: Model, options: SamPredictorOptions = {}): Promise<SamPredictor> {
    const { cacheBytes = 512 * 1024 * 1024, masks, decoder: reader, preprocessors, ...session } = options;
    const whole = samPorts(model);
    const encoder = model.parts.find(({ inputs }) => whole.pixels in inputs);
    const decoder = model.parts.find(({ outputs }) => whole.masks in outputs);
    if (!encoder || !decoder) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `"${model.name}" is one file, so an image cannot be encoded once and prompted often. Open a folder with the vision encoder and the mask decoder as two files.`,
      );
    }
    // Embeddings are cached instead.
    const images = await openSamImages(model, { decoder: reader, preprocessors, cacheBytes: 0 });
    // By the names of the decoder's file.
    const ports = { ...whole, ...maskPorts(decoder, whole, masks) };
    const first = await encoder.session(session);
    try {
      const second = await decoder.withOutputs(ports.inner).session(session);
      return new SamPredictor(model, ports, images, { encoder: first, decoder: second }, cacheBytes);
    } catch (error) {
      await first.release();
      throw error;
    }
  }

  /**
   * Encodes an image, unless cached for this adapter.
   * @param source the path of a file, its bytes, or pixels
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID`, naming the file; `INPUT_INVALID` for an unknown adapter
   */
  async setImage(
    source: ImageLike,
    { adapter = null }: { readonly adapter?: AdapterChoice } = {},
  ): Promise<PromptableImage> {
    const key = `${JSON.stringify(adapter)} ${await identityOf(source)}`;
    const { pixels, geometry } = await this.#loader.load({ image: source });
    const known = this.#cache.get(key);
    const embeddings =
      known ??
      (await this.#encoder.run({ [this.#ports.pixels]: { ...pixels, dims: [1, ...pixels.dims] } }, { adapter }));
    if (!known) this.#cache.set(key, embeddings);
    return new PromptableImage({
      name: typeof source === 'string' ? source : 'the image',
      geometry,
      isPadded: this.#isPadded,
      promptsAtOnce: this.#ports.mask === undefined ? Infinity : 1,
      decode: async (prompts) => this.#decode(embeddings, prompts, adapter),
    });
  }

  /**
   * Adds an adapter under a new name, in the slots of the adapters that the predictor was created with.
   * @throws OnnxLoraError as `AdapterSession.add`
   */
  async add(name: string, adapter: Adapter): Promise<void> {
    await this.#encoder.add(name, adapter);
    try {
      await this.#decoder.add(name, adapter);
    } catch (error) {
      this.#encoder.remove(name);
      throw error;
    }
  }

  /** Removes an adapter and its embeddings; false for an unknown name. */
  remove(name: string): boolean {
    // Another adapter may get the same name.
    this.#cache.clear();
    this.#decoder.remove(name);
    return this.#encoder.remove(name);
  }

  /** Frees both sessions. */
  async release(): Promise<void> {
    this.#cache.clear();
    await Promise.all([this.#encoder.release(), this.#decoder.release()]);
  }

  /** As {@link SamPredictor.release}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  async #decode(
    embeddings: Readonly<Record<string, Tensor>>,
    prompts: readonly InputPrompt[],
    adapter: AdapterChoice,
  ): Promise<ReturnType<typeof masksOf>> {
    const wanted = new Set(this.#decoder.inputNames);
    const image: Feeds = Object.fromEntries(Object.entries(embeddings).filter(([name]) => wanted.has(name)));
    const feeds = { ...image, ...promptFeeds([prompts], this.#ports, this.#model.name) };
    return masksOf(await this.#decoder.run(feeds, { adapter }), this.#ports);
  }
}

/** Identity of an image: path and stats of a file, a digest of pixels or bytes. */
async function identityOf(source: ImageLike): Promise<string> {
  if (typeof source === 'string') {
    // A missing file is reported by its reader.
    const stats = await stat(source, { bigint: true }).catch(() => undefined);
    return `${resolve(source)} ${stats ? fileIdentity(stats) : ''}`;
  }
  const [shape, data] =
    source instanceof Uint8Array ? ['bytes', source] : [`${source.width}x${source.height}`, source.data];
  return `${shape} ${sha256().update(data).digest('hex')}`;
}
