/** @file One vector per recording, from any speech encoder. */

import type { AdapterSession, Tensor } from '@onnx-lora/sdk';
import { joinRows, type RunnableModel, type RunnableOptions, unitTensor } from '@onnx-lora/sdk/tasks';
import { type AudioReader, type AudioSource, monoAt } from '../../audio/audio.ts';
import { AudioFileReader } from '../../audio/audioFileReader.ts';
import type { FeatureExtractor } from '../../features/featureExtractor.ts';
import { frameCount, type FrameCount } from '../frameCount.ts';
import { ownFrames } from '../frameTargets.ts';
import { rowsAlike, audioFeeds, type SoundPorts, soundPorts } from '../audioFeeds.ts';
import { openAudio, type AudioReading } from '../soundTask.ts';
import { embeddingsFrom } from './frameMeans.ts';
import { type SoundFeature, soundFeature } from './soundFeatures.ts';

/** Options of {@link openAudioEmbedder}. */
export interface AudioEmbedderOptions extends RunnableOptions, AudioReading {
  /**
   * The graph output that is the feature; `before-head` is what a classifier or a recogniser reads. By default `embeddings`,
   * `pooler_output` or `last_hidden_state`, whichever there is, else `before-head`.
   */
  readonly output?: string | undefined;
  /** Divides every embedding by its length; true by default. */
  readonly normalize?: boolean | undefined;
}

/** A model with its adapters, ready to embed. */
export interface AudioEmbedder extends AsyncDisposable {
  /**
   * Embeddings float32 `[sources, width]`, in their order: of vectors of frames the mean over those that are sound.
   *
   * @param adapter name of the adapter among those that the embedder was opened with; null or absent is the base
   * @throws OnnxLoraError `DATA_INVALID` or `FILE_NOT_FOUND`, naming the recording
   */
  embed(sources: readonly AudioSource[], adapter?: string | null): Promise<Tensor>;
  /** Frees the session. */
  release(): Promise<void>;
  /** As {@link AudioEmbedder.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Loads a speech encoder, such as wav2vec2's, Whisper's or AST, as one that makes embeddings.
 *
 * @example
 * ```ts
 * const embedder = await openAudioEmbedder(model);
 * await saveEmbeddings('voices.safetensors', files, await embedder.embed(files));
 * await embedder.release();
 * ```
 *
 * @throws OnnxLoraError `CONFIG_INVALID`, `MODEL_UNSUPPORTED` for a model that takes no sound or gives no features of it;
 *   others as `model.session`
 */
export async function openAudioEmbedder(
  model: RunnableModel,
  { reader = new AudioFileReader(), preprocessors, output, normalize = true, ...load }: AudioEmbedderOptions = {},
): Promise<AudioEmbedder> {
  const feature = soundFeature(model, output);
  const parts = {
    ports: soundPorts(model),
    feature,
    normalize,
    reader,
    extractor: await openAudio(model, { reader, preprocessors }),
    count: frameCount(model),
  };
  const whole = feature.inner.length > 0 ? model.withOutputs(feature.inner) : model;
  return new SessionEmbedder(parts, await whole.session(load));
}

interface EmbedderParts {
  readonly ports: SoundPorts;
  readonly feature: SoundFeature;
  readonly normalize: boolean;
  readonly reader: AudioReader;
  readonly extractor: FeatureExtractor;
  readonly count: FrameCount | undefined;
}

class SessionEmbedder implements AudioEmbedder {
  readonly #parts: EmbedderParts;
  readonly #session: AdapterSession;

  constructor(parts: EmbedderParts, session: AdapterSession) {
    this.#parts = parts;
    this.#session = session;
  }

  async embed(sources: readonly AudioSource[], adapter: string | null = null): Promise<Tensor> {
    const { extractor, normalize, reader } = this.#parts;
    const clips = await Promise.all(sources.map((source) => monoAt(reader, source, extractor.sampleRate)));
    const features = clips.map((clip) => extractor.extract(clip));
    const rows = new Array<Tensor>(clips.length);
    for (const batch of rowsAlike(extractor, this.#parts.ports, features)) {
      const found = await this.#batch(batch, features, clips, adapter);
      for (const [i, row] of batch.entries()) rows[row] = rowOf(found, i);
    }
    const all = joinRows(rows);
    return normalize ? unitTensor(all) : all;
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  async #batch(
    rows: readonly number[],
    features: readonly Tensor[],
    clips: readonly Float32Array[],
    adapter: string | null,
  ): Promise<Tensor> {
    const { extractor, feature, ports, count } = this.#parts;
    const own = rows.map((row) => features[row]!);
    const { feeds, ...fed } = audioFeeds(extractor, ports, own);
    const outputs = await this.#session.run(feeds, { adapter, fetches: [feature.output] });
    const heard = own.map((each, i) => ({ features: each, sound: extractor.soundIn?.(clips[rows[i]!]!.length) }));
    return embeddingsFrom(feature.output)(outputs, ownFrames(heard, ports, fed, count));
  }
}

function rowOf({ dims, data }: Tensor, row: number): Tensor {
  const width = dims[1]!;
  return { type: 'float32', dims: [1, width], data: (data as Float32Array).slice(row * width, (row + 1) * width) };
}
