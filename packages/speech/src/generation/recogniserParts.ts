/** @file What a recogniser that writes token by token is made of. */

import type { AudioReader } from '../audio/audio.ts';
import type { FeatureExtractor } from '../features/featureExtractor.ts';
import type { SpeechTokenizer } from '../text/speechTokenizer.ts';
import type { Aligner } from './alignment/aligner.ts';
import type { Hearing } from './hearing.ts';
import type { SpeechEngine } from './speechEngine.ts';

/** What a recogniser is made of. */
export interface RecogniserParts {
  readonly engine: SpeechEngine;
  readonly tokenizer: SpeechTokenizer;
  readonly extractor: FeatureExtractor;
  /** Says how much of a window is heard of a clip. */
  readonly hearing: Hearing;
  readonly reader: AudioReader;
  /** Says when words are said. */
  readonly aligner: Aligner;
}
