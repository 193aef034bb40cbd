/** @file The dataset of speech records. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { type Labelled, RecordDataset, type RecordLoading } from '@onnx-lora/sdk/tasks';
import { BoundedCache, contentKey, drawSeed } from '@onnx-lora/sdk/data';
import { type AudioReader, monoAt } from '../audio/audio.ts';
import type { FeatureExtractor, AudioFrames } from '../features/featureExtractor.ts';
import type { SpeechRecord } from './speechRecord.ts';

/** Features of an utterance. */
export interface LoadedAudio {
  /** Name in messages. */
  readonly where: string;
  /** Its features, without a batch dimension. */
  readonly features: Tensor;
  /** The sound's extent in a spectrogram, without padding. */
  readonly sound?: AudioFrames;
}

/** An utterance with its target, such as the ids of its transcript. */
export type SpeechExample<Target> = Labelled<LoadedAudio, Target>;

/** How a dataset loads its recordings. */
export interface SpeechLoading {
  /** Decodes the recordings. */
  readonly reader: AudioReader;
  /** Computes features. */
  readonly extractor: FeatureExtractor;
  /** Augments the samples of drawn examples. */
  readonly augmentWave?: ((samples: Float32Array, sampleRate: number, seed: number) => Float32Array) | undefined;
  /** Augments their spectrograms; `sound` is the clip's extent. */
  readonly augmentFeatures?: ((features: Tensor, sound: AudioFrames, seed: number) => Tensor) | undefined;
  /** Makes draws reproducible. */
  readonly seed: number;
  /** Most bytes of cached features; 512 MB by default, 0 disables the cache. */
  readonly cacheBytes?: number | undefined;
}

const DEFAULT_CACHE_BYTES = 512e6;

/** Recordings, loaded on demand. */
export class SpeechDataset<Target> extends RecordDataset<SpeechRecord, LoadedAudio, Target> {
  /** Content key of the recording and span. */
  declare readonly keyOf: (index: number) => Promise<string>;
  /** Clip lengths, for length-sorted batches. */
  readonly lengths?: readonly number[];

  /** `targets`, and `lengths` if known, have one entry per record. */
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
