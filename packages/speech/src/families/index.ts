/** @file All families of the speech package. */

import type { ModelFamily } from '@onnx-lora/sdk';
import { audioSpectrogramTransformer } from './audioSpectrogramTransformer.ts';
import { wav2vec2 } from './wav2vec2.ts';
import { whisper } from './whisper.ts';

/** Every speech family, for `openModel(source, { families: speechFamilies })`. */
export const speechFamilies: readonly ModelFamily[] = [whisper, wav2vec2, audioSpectrogramTransformer];
