/** @file How a recogniser is opened. */

import type { RunnableOptions } from '@onnx-lora/sdk/tasks';
import type { PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import type { AudioReader } from '../audio/audio.ts';
import type { ContextSeconds } from '../features/audioContext.ts';
import type { FeatureExtractor } from '../features/featureExtractor.ts';
import type { SpeechTokenizer } from '../text/speechTokenizer.ts';

/** Options of `openRecogniser`. */
export interface RecogniserOptions extends RunnableOptions {
  /** Decodes sound; a `SoundReader` by default. */
  readonly reader?: AudioReader;
  /** Makers of feature extractors, asked in order; those of transformers' by default. */
  readonly preprocessors?: readonly PreprocessorFactory[];
  /** What makes features of sound; made by `preprocessors` of the file in the model's folder by default. */
  readonly extractor?: FeatureExtractor;
  /**
   * Seconds from the beginning of a clip that a model with a fixed window hears. By `auto`, the default, those with which the
   * adapter was trained, which it notes, and else the whole window. A number or `full` holds for every adapter and for the
   * base. Clips that are longer are heard with the whole window in any case.
   */
  readonly contextSeconds?: ContextSeconds;
  /** The vocabulary; found in the model's folder by default. */
  readonly tokenizer?: SpeechTokenizer;
}
