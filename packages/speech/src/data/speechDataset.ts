/** @file Recordings with what is known of them, as a dataset. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { type Labelled, RecordDataset, type RecordLoading } from '@onnx-lora/sdk/tasks';
import { BoundedCache, contentKey, drawSeed } from '@onnx-lora/sdk/data';
import { type AudioReader, monoAt } from '../audio/audio.ts';
import type { FeatureExtractor, AudioFrames } from '../features/featureExtractor.ts';
import type { SpeechRecord } from './speechRecord.ts';

/** The sound of an utterance, ready to be fed. */
export interface LoadedAudio {
  /** What it is called in messages. */
  readonly where: string;
  /** Its features, without a batch dimension. */
  readonly features: Tensor;
  /** Where in a spectrogram the clip is, and not padding. */
  readonly sound?: AudioFrames;
}

/** One utterance, with what is known of it, such as the ids of its transcript. */
export type SpeechExample<Target> = Labelled<LoadedAudio, Target>;

/** How the recordings of a dataset are loaded. */
export interface SpeechLoading {
  /** Decodes the recordings. */
  readonly reader: AudioReader;
  /** Makes features of them. */
  readonly extractor: FeatureExtractor;
  /** What is done at random to the sound of examples that are drawn. */
  readonly augmentWave?: ((samples: Float32Array, sampleRate: number, seed: number) => Float32Array) | undefined;
  /** What is done at random to their features, where these are spectrograms; `sound` says where in them the clip is. */
  readonly augmentFeatures?: ((features: Tensor, sound: AudioFrames, seed: number) => Tensor) | undefined;
  /** Seeds all that is random; with it every draw is the same again. */
  readonly seed: number;
  /** Most bytes of features that are kept in memory; 512 MB by default. 0 keeps none. */
  readonly cacheBytes?: number | undefined;
}

const DEFAULT_CACHE_BYTES = 512e6;

/** Recordings, each loaded when asked for. */
export class SpeechDataset<Target> extends RecordDataset<SpeechRecord, LoadedAudio, Target> {
  /** The content of the recording, and which part of it the example is. */
  declare readonly keyOf: (index: number) => Promise<string>;
  /** How long each is, for batches of about one length. */
  readonly lengths?: readonly number[];

  /** `targets` has one for each record; so has `lengths`, where it is known. */
  constructor(
    records: readonly SpeechRecord[],
    targets: readonly Target[],
    loading: SpeechLoading,
    lengths?: readonly number[],
  ) {
    super(records, targets, audioLoading(loading));
    if (lengths) this.lengths = lengths;
  }
}

function audioLoading({
  reader,
  extractor,
  augmentWave,
  augmentFeatures,
  seed,
  cacheBytes = DEFAULT_CACHE_BYTES,
}: SpeechLoading): RecordLoading<SpeechRecord, LoadedAudio> {
  const cache = new BoundedCache<number, LoadedAudio>(cacheBytes, ({ features }) => features.data.byteLength);
  const read = async (record: SpeechRecord, seedOfWave?: number): Promise<LoadedAudio> => {
    const { where } = record;
    try {
      const heard = await monoAt(reader, record.audio, extractor.sampleRate, record.span);
      const samples = seedOfWave === undefined ? heard : augmentWave!(heard, extractor.sampleRate, seedOfWave);
      const sound = extractor.soundIn?.(samples.length);
      return { where, features: extractor.extract(samples), ...(sound && { sound }) };
    } catch (cause) {
      if (!(cause instanceof OnnxLoraError) || cause.message.includes(where)) throw cause;
      throw new OnnxLoraError(cause.code, `${where}: ${cause.message}`, { cause });
    }
  };
  return {
    isDeterministic: !augmentWave && !(augmentFeatures && extractor.soundIn),
    nameOf: ({ where }) => where,
    labelsOf: ({ labels }) => labels,
    keyOf: async ({ audio, span = {} }) => {
      const isDecoded = typeof audio === 'object' && 'channels' in audio;
      const samples = isDecoded ? audio.channels.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)) : []; // prettier-ignore
      const content = await contentKey(isDecoded ? Buffer.concat(samples) : audio);
      return JSON.stringify([content, span.start, span.end]);
    },
    load: async (record, draw, index) => {
      const drawn = draw === undefined ? undefined : drawSeed(seed, draw);
      const isChanged = drawn !== undefined && augmentWave !== undefined;
      const loaded = isChanged ? await read(record, drawn) : await cache.get(index, () => read(record));
      if (drawn === undefined || !augmentFeatures || !loaded.sound) return loaded;
      return { ...loaded, features: augmentFeatures(loaded.features, loaded.sound, drawn) };
    },
  };
}
