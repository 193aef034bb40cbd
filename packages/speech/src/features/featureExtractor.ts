/** @file What makes a model's input of sound. */

import type { Feeds, Preprocessor, Tensor } from '@onnx-lora/sdk';

/** What a `preprocessor_config.json` of a speech model describes. */
export interface FeatureExtractor extends Preprocessor {
  /** Hz of the samples that it takes. */
  readonly sampleRate: number;
  /** The graph input that takes a batch: `input_features` or `input_values`. */
  readonly inputName: string;
  /** Samples that it hears at most, as Whisper 30 s; what is longer is cut off. Absent where any length is heard. */
  readonly maxSamples?: number;
  /** Features of one clip, without a batch dimension: `[mels, frames]`, `[frames, mels]` or `[samples]`. */
  extract(samples: Float32Array): Tensor;
  /**
   * Clips of one batch, padded to the longest as transformers pads them: the input, and an `attention_mask` (int64) where
   * the model was trained with one.
   */
  batch(clips: readonly Tensor[]): Feeds;
}
