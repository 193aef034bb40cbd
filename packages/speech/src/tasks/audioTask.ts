/** @file Common parts of audio tasks: data, features, batches, settings. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { PreprocessorFactory, SettingRow, SettingRows } from '@onnx-lora/sdk/plugin';
import {
  type AnsweringFactory,
  type PredictorFacts,
  type Processor,
  type TaskModel,
  taskOf,
} from '@onnx-lora/sdk/tasks';
import { type AudioReader, monoAt } from '../audio/audio.ts';
import { AudioFileReader } from '../audio/audioFileReader.ts';
import { augmentWave, type WaveAugmentation, waveAugmentSetting } from '../augment/augmentWave.ts';
import { clipLengths } from '../data/clipLengths.ts';
import { speechDataSettings } from '../data/manifest.ts';
import { readSpeechData } from '../data/readSpeechData.ts';
import { SpeechDataset, type SpeechLoading } from '../data/speechDataset.ts';
import type { SpeechData, SpeechDataOptions, SpeechRecord, SpeechSource } from '../data/speechRecord.ts';
import { type FeatureExtractor, openExtractor } from '../features/featureExtractor.ts';
import { FeatureExtractorFactory } from '../features/featureExtractorFactory.ts';
import { specAugment, type SpecAugmentOptions } from '../features/specAugment.ts';
import { type AudioFeeds, audioFeeds, type AudioPorts } from './audioFeeds.ts';

/** Decoder and feature extractor of a task. */
export interface AudioReading {
  /** Decodes sound; {@link AudioFileReader} by default. */
  readonly reader?: AudioReader | undefined;
  /** Factories of feature extractors, tried in order; transformers' by default. */
  readonly preprocessors?: readonly PreprocessorFactory[] | undefined;
  /** Most bytes of cached features; 512 MB by default, 0 disables the cache. */
  readonly cacheBytes?: number | undefined;
}

/** Options of all audio tasks. */
export interface AudioTrainingOptions extends SpeechDataOptions, AudioReading {
  /** Augmentations of training samples; none by default. */
  readonly augment?: readonly WaveAugmentation[] | undefined;
  /** SpecAugment on training spectrograms; none by default. Ignored by models on raw samples. */
  readonly specAugment?: SpecAugmentOptions | undefined;
}

export interface OpenedAudioTask {
  readonly data: SpeechData;
  readonly reader: AudioReader;
  readonly extractor: FeatureExtractor;
  /** Makes a dataset; `own` replaces the model's extractor, such as for a shorter context. */
  readonly dataset: <Target>(
    records: readonly SpeechRecord[],
    targets: readonly Target[],
    isTrained: boolean,
    own?: FeatureExtractor,
  ) => Promise<SpeechDataset<Target>>;
  /** Feeds of clips; training pads to bucketed lengths, because each shape needs a graph. */
  feeds(ports: AudioPorts, clips: readonly Tensor[], isTrained: boolean): AudioFeeds;
}

/** Units of bucketed lengths: seconds, or frames of a spectrogram. */
const UNIT_SECONDS = 0.5;
const UNIT_FRAMES = 32;

/** Reads the data, opens the extractor. @throws OnnxLoraError `CONFIG_INVALID`, `DATA_INVALID`, `FILE_NOT_FOUND` */
export async function openAudioTask(
  model: TaskModel,
  source: SpeechSource,
  options: AudioTrainingOptions,
): Promise<OpenedAudioTask> {
  const { reader = new AudioFileReader(), cacheBytes, augment = [], specAugment: hidden, seed = 0 } = options;
  const extractor = await openAudio(model, { ...options, reader });
  const data = await readSpeechData(source, { ...options, reader });
  if (data.train.length === 0 && !data.validation?.length)
    throw new OnnxLoraError('DATA_INVALID', 'The data have no recordings. Name a folder or a manifest that has some.');
  return {
    data,
    reader,
    extractor,
    dataset: async (records, targets, isTrained, own = extractor) => {
      const loading: SpeechLoading = {
        reader,
        extractor: own,
        seed,
        cacheBytes,
        ...(isTrained && augment.length > 0
          ? { augmentWave: (samples, rate, draw) => heard(samples, augmentWave(samples, rate, augment, draw), own) }
          : {}),
        ...(isTrained && hidden && own.soundIn
          ? { augmentFeatures: (features, sound, draw) => specAugment(features, sound, hidden, draw) }
          : {}),
      };
      return new SpeechDataset(records, targets, loading, isTrained ? await clipLengths(records) : undefined);
    },
    feeds: (ports, clips, isTrained) => {
      const ofSamples = Math.round(UNIT_SECONDS * extractor.sampleRate);
      // Spectrograms without a mask have a fixed length.
      const ofFrames = ports.mask === undefined ? undefined : UNIT_FRAMES;
      const unit = clips[0]?.dims.length === 1 ? ofSamples : ofFrames;
      return audioFeeds(extractor, ports, clips, isTrained ? unit : undefined);
    },
  };
}

/** Discards an augmentation after which a clip no longer fits the window. */
function heard(
  samples: Float32Array,
  changed: Float32Array,
  { maxSamples = Infinity }: FeatureExtractor,
): Float32Array {
  return changed.length > maxSamples && samples.length <= maxSamples ? samples : changed;
}

/** Opens the model's feature extractor. */
export function openAudio(
  model: TaskModel,
  { reader = new AudioFileReader(), preprocessors }: AudioReading,
): Promise<FeatureExtractor> {
  return openExtractor(model, preprocessors ?? [new FeatureExtractorFactory(reader)]);
}

/** The `feeds` of a processor of files. */
export async function audioFiles(
  model: TaskModel,
  ports: AudioPorts,
  { reader = new AudioFileReader(), preprocessors }: AudioReading,
): Promise<Processor['feeds']> {
  const extractor = await openAudio(model, { reader, preprocessors });
  // One more second: resampling never reaches further.
  const end = extractor.maxSamples === undefined ? undefined : extractor.maxSamples / extractor.sampleRate + 1;
  const clip = async (file: string): Promise<Tensor> =>
    extractor.extract(await monoAt(reader, file, extractor.sampleRate, end === undefined ? {} : { end }));
  return async (files) => audioFeeds(extractor, ports, await Promise.all(files.map(clip))).feeds;
}

/** The setting of SpecAugment. */
export const specAugmentSetting: SettingRow<SpecAugmentOptions> = {
  kind: 'flag',
  to: (on) => (on ? {} : undefined),
  description: 'Hides parts of the spectrograms in training.',
};

/** Settings of all audio tasks. */
export const audioSettings: SettingRows<AudioTrainingOptions> = {
  augment: waveAugmentSetting,
  specAugment: specAugmentSetting,
  ...speechDataSettings,
};

/** Decoder and feature extractors of a task. */
export interface AudioTools {
  /** Decodes recordings. */
  readonly reader: AudioReader;
  /** Factories of feature extractors, tried in order. */
  readonly preprocessors: readonly PreprocessorFactory[];
}

/** Makes the factory of an audio task; `preprocessors` are tried in order. */
export type AudioTask = (reader: AudioReader, preprocessors: readonly PreprocessorFactory[]) => AnsweringFactory;

/** Makes an audio task from its facts. */
export function audioTask<Options>(facts: PredictorFacts<Options, AudioTools>): AudioTask {
  return (reader, preprocessors) => taskOf(facts, { reader, preprocessors });
}
