/** @file What tasks on audio share: data, features, batches, settings. */

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
import { speechDataSettings } from '../data/dataSettings.ts';
import { readSpeechData } from '../data/readSpeechData.ts';
import { SpeechDataset, type SpeechLoading } from '../data/speechDataset.ts';
import type { SpeechData, SpeechDataOptions, SpeechRecord, SpeechSource } from '../data/speechRecord.ts';
import { type FeatureExtractor, openExtractor } from '../features/featureExtractor.ts';
import { FeatureExtractorFactory } from '../features/featureExtractorFactory.ts';
import { specAugment, type SpecAugmentOptions } from '../features/specAugment.ts';
import { type AudioFeeds, audioFeeds, type AudioPorts } from './audioFeeds.ts';

/** What reads the sound of a task. */
export interface AudioReading {
  /** Decodes sound; {@link AudioFileReader} by default. */
  readonly reader?: AudioReader | undefined;
  /** Makers of feature extractors, asked in order; those of transformers' by default. */
  readonly preprocessors?: readonly PreprocessorFactory[] | undefined;
  /** Most bytes of features that are kept in memory; 512 MB by default. 0 keeps none. */
  readonly cacheBytes?: number | undefined;
}

/** Options of every task on sound. */
export interface AudioTrainingOptions extends SpeechDataOptions, AudioReading {
  /** What is done at random to the sound that is trained on; nothing by default. */
  readonly augment?: readonly WaveAugmentation[] | undefined;
  /** Hides parts of the spectrograms that are trained on; nothing by default. Models that take samples pass it over. */
  readonly specAugment?: SpecAugmentOptions | undefined;
}

/** The data of a task, and how its recordings are loaded. */
export interface OpenedAudioTask {
  readonly data: SpeechData;
  readonly reader: AudioReader;
  readonly extractor: FeatureExtractor;
  /**
   * A dataset of records to be trained on or measured on; `target` is what is known of each.
   *
   * @param own another extractor than the model's, such as one of a shorter window
   */
  readonly dataset: <Target>(
    records: readonly SpeechRecord[],
    targets: readonly Target[],
    isTrained: boolean,
    own?: FeatureExtractor,
  ) => Promise<SpeechDataset<Target>>;
  /** Feeds of clips; those that are trained on are padded to lengths that return, since each takes a graph of its own. */
  feeds(ports: AudioPorts, clips: readonly Tensor[], isTrained: boolean): AudioFeeds;
}

/** Seconds, or frames of a spectrogram, that lengths of clips that are trained on are counted in. */
const UNIT_SECONDS = 0.5;
const UNIT_FRAMES = 32;

/**
 * Reads the data, and makes what loads its sound.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`, `DATA_INVALID`, `FILE_NOT_FOUND`
 */
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
      // Spectrograms without a mask have one length, and others must not get it.
      const ofFrames = ports.mask === undefined ? undefined : UNIT_FRAMES;
      const unit = clips[0]?.dims.length === 1 ? ofSamples : ofFrames;
      return audioFeeds(extractor, ports, clips, isTrained ? unit : undefined);
    },
  };
}

/** A clip that fits the model's window and, augmented, no longer does, stays as it is. */
function heard(
  samples: Float32Array,
  changed: Float32Array,
  { maxSamples = Infinity }: FeatureExtractor,
): Float32Array {
  return changed.length > maxSamples && samples.length <= maxSamples ? samples : changed;
}

/** The feature extractor of a model. */
export function openAudio(
  model: TaskModel,
  { reader = new AudioFileReader(), preprocessors }: AudioReading,
): Promise<FeatureExtractor> {
  return openExtractor(model, preprocessors ?? [new FeatureExtractorFactory(reader)]);
}

/** What makes feeds of files, for a processor. */
export async function audioFiles(
  model: TaskModel,
  ports: AudioPorts,
  { reader = new AudioFileReader(), preprocessors }: AudioReading,
): Promise<Processor['feeds']> {
  const extractor = await openAudio(model, { reader, preprocessors });
  // A second more than is heard: no resampled sample in the part that counts hears further than that.
  const end = extractor.maxSamples === undefined ? undefined : extractor.maxSamples / extractor.sampleRate + 1;
  const clip = async (file: string): Promise<Tensor> =>
    extractor.extract(await monoAt(reader, file, extractor.sampleRate, end === undefined ? {} : { end }));
  return async (files) => audioFeeds(extractor, ports, await Promise.all(files.map(clip))).feeds;
}

/** Masks of spectrograms. */
export const specAugmentSetting: SettingRow<SpecAugmentOptions> = {
  kind: 'flag',
  to: (on) => (on ? {} : undefined),
  description: 'Hides parts of the spectrograms in training.',
};

/** Settings of every task that is trained on sound. */
export const audioSettings: SettingRows<AudioTrainingOptions> = {
  augment: waveAugmentSetting,
  specAugment: specAugmentSetting,
  ...speechDataSettings,
};

/** What reads the recordings of a task. */
export interface AudioTools {
  /** Decodes recordings. */
  readonly reader: AudioReader;
  /** Makers of feature extractors, asked in order. */
  readonly preprocessors: readonly PreprocessorFactory[];
}

/** Makes the factory of a task on audio; `preprocessors` are asked in order. */
export type AudioTask = (reader: AudioReader, preprocessors: readonly PreprocessorFactory[]) => AnsweringFactory;

/** A task on audio from what is said of it. */
export function audioTask<Options>(facts: PredictorFacts<Options, AudioTools>): AudioTask {
  return (reader, preprocessors) => taskOf(facts, { reader, preprocessors });
}
