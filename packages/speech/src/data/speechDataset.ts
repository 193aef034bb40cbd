/** @file Recordings with what is known of them, as a dataset. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { balancedWeights, type Dataset } from '@onnx-lora/sdk/tasks';
import { contentKey, drawSeed, BoundedCache } from '@onnx-lora/sdk/data';
import { type AudioReader, monoAt } from '../audio/audio.ts';
import type { FeatureExtractor, SoundFrames } from '../features/featureExtractor.ts';
import type { SpeechRecord } from './speechRecord.ts';

/** One utterance, ready to be fed. */
export interface SpeechExample<Target> {
  /** What it is called in messages. */
  readonly where: string;
  /** Its features, without a batch dimension. */
  readonly features: Tensor;
  /** Where in a spectrogram the clip is, and not padding. */
  readonly sound?: SoundFrames;
  /** What is known of it, such as the ids of its transcript. */
  readonly target: Target;
  /** In training, how many examples were drawn before. */
  readonly draw?: number;
}

/** How the recordings of a dataset are loaded. */
export interface SpeechLoading {
  /** Decodes the recordings. */
  readonly reader: AudioReader;
  /** Makes features of them. */
  readonly extractor: FeatureExtractor;
  /** What is done at random to the sound of examples that are drawn. */
  readonly augmentWave?: ((samples: Float32Array, sampleRate: number, seed: number) => Float32Array) | undefined;
  /** What is done at random to their features, where these are spectrograms; `sound` says where in them the clip is. */
  readonly augmentFeatures?: ((features: Tensor, sound: SoundFrames, seed: number) => Tensor) | undefined;
  /** Seeds all that is random; with it every draw is the same again. */
  readonly seed: number;
  /** Most bytes of features that are kept in memory; 512 MB by default. 0 keeps none. */
  readonly cacheBytes?: number | undefined;
}

interface Loaded {
  readonly features: Tensor;
  readonly sound?: SoundFrames | undefined;
}

const DEFAULT_CACHE_BYTES = 512e6;

/** Recordings, each loaded when asked for. */
export class SpeechDataset<Target> implements Dataset<SpeechExample<Target>> {
  /** The recordings. */
  readonly records: readonly SpeechRecord[];
  /** What is to be predicted of each record. */
  readonly targets: readonly Target[];
  /** How long each is, for batches of about one length. */
  readonly lengths?: readonly number[];
  readonly #loading: SpeechLoading;
  readonly #cache: BoundedCache<number, Loaded>;

  /** `targets` has one for each record; so has `lengths`, where it is known. */
  constructor(
    records: readonly SpeechRecord[],
    targets: readonly Target[],
    loading: SpeechLoading,
    lengths?: readonly number[],
  ) {
    this.records = records;
    this.targets = targets;
    this.#loading = loading;
    if (lengths) this.lengths = lengths;
    const { cacheBytes = DEFAULT_CACHE_BYTES } = loading;
    this.#cache = new BoundedCache(cacheBytes, ({ features }) => features.data.byteLength);
  }

  /** How many recordings there are. */
  get length(): number {
    return this.records.length;
  }

  /** True where nothing about the examples is random. */
  get isDeterministic(): boolean {
    const { augmentWave, augmentFeatures, extractor } = this.#loading;
    return !augmentWave && !(augmentFeatures && extractor.soundIn);
  }

  /** How often each is drawn where every label comes equally often; undefined where there are no labels. */
  get weights(): readonly number[] | undefined {
    if (!this.records.some(({ labels }) => labels)) return undefined;
    return balancedWeights(this.records.map(({ labels = [] }) => labels));
  }

  /** The path of the recording, and where the data names it. */
  nameOf(index: number): string {
    return this.records[index]?.where ?? String(index);
  }

  /** The content of the recording, and which part of it the example is. */
  async keyOf(index: number): Promise<string> {
    const { audio, span = {} } = this.records[index]!;
    const isDecoded = typeof audio === 'object' && 'channels' in audio;
    const samples = isDecoded ? audio.channels.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)) : []; // prettier-ignore
    const content = await contentKey(isDecoded ? Buffer.concat(samples) : audio);
    return JSON.stringify([content, span.start, span.end]);
  }

  /** @throws OnnxLoraError `DATA_INVALID`, naming the recording, when it cannot be decoded */
  async get(index: number, draw?: number): Promise<SpeechExample<Target>> {
    const record = this.records[index];
    if (!record) throw new RangeError(`There is no example ${index}: the dataset has ${this.length}.`);
    const { augmentWave, seed } = this.#loading;
    const drawn = draw === undefined ? undefined : drawSeed(seed, draw);
    const loaded =
      drawn !== undefined && augmentWave
        ? await this.#load(record, (samples, rate) => augmentWave(samples, rate, drawn))
        : await this.#cache.get(index, () => this.#load(record));
    return {
      where: record.where,
      features: drawn === undefined ? loaded.features : this.#hidden(loaded, drawn),
      ...(loaded.sound ? { sound: loaded.sound } : {}),
      target: this.targets[index]!,
      ...(draw === undefined ? {} : { draw }),
    };
  }

  #hidden({ features, sound }: Loaded, seed: number): Tensor {
    const { augmentFeatures } = this.#loading;
    return augmentFeatures && sound ? augmentFeatures(features, sound, seed) : features;
  }

  async #load(record: SpeechRecord, change?: (samples: Float32Array, rate: number) => Float32Array): Promise<Loaded> {
    const { reader, extractor } = this.#loading;
    try {
      const read = await monoAt(reader, record.audio, extractor.sampleRate, record.span);
      const samples = change ? change(read, extractor.sampleRate) : read;
      return { features: extractor.extract(samples), sound: extractor.soundIn?.(samples.length) };
    } catch (cause) {
      if (!(cause instanceof OnnxLoraError) || cause.message.includes(record.where)) throw cause;
      throw new OnnxLoraError(cause.code, `${record.where}: ${cause.message}`, { cause });
    }
  }
}
