/** @file What makes a model's input of sound. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import type { Preprocessor } from '@onnx-lora/sdk/plugin';

/** What a `preprocessor_config.json` of a speech model describes. */
export interface FeatureExtractor extends Preprocessor {
  /** Hz of the samples that it takes. */
  readonly sampleRate: number;
  /** The graph input that takes a batch: `input_features` or `input_values`. */
  readonly inputName: string;
  /** Samples that it hears at most, as Whisper 30 s; what is longer is cut off. Absent where any length is heard. */
  readonly maxSamples?: number;
  /**
   * What can be made of one clip alone, without a batch dimension: `[mels, frames]`, `[frames, mels]` or `[samples]`. Only
   * {@link FeatureExtractor.batch} makes of it what a model is fed, also for one clip.
   *
   * @throws OnnxLoraError `INPUT_INVALID` for a clip that is too short to be heard
   */
  extract(samples: Float32Array): Tensor;
  /** Where in the features of a clip of so many samples its sound is. Absent where features are no spectrogram. */
  soundIn?(samples: number): SoundFrames;
  /**
   * Clips of one batch, padded to the longest as transformers pads them: the input, and an `attention_mask` (int64) where
   * the model was trained with one.
   *
   * @throws OnnxLoraError `INPUT_INVALID` for an empty batch
   */
  batch(clips: readonly Tensor[]): Feeds;
}

/** Which frames of a spectrogram are sound, and not padding: the first so many along an axis. */
export interface SoundFrames {
  /** The axis of time: 1 in `[mels, frames]`, 0 in `[frames, mels]`. */
  readonly timeAxis: 0 | 1;
  /** How many frames are sound. */
  readonly frames: number;
}

/** An extractor without the part that reads files. */
export type ClipFeatures = Omit<FeatureExtractor, 'preprocess'>;
