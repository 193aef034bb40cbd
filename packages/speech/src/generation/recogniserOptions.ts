/** @file How a recogniser is opened. */

import type { PreprocessorFactory, RunnableOptions } from '@onnx-lora/sdk';
import type { AudioReader } from '../audio/audio.ts';
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
  /** The vocabulary; found in the model's folder by default. */
  readonly tokenizer?: SpeechTokenizer;
}
