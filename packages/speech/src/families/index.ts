/** @file All families of the speech package. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import {
  audioSpectrogramTransformer,
  data2vecAudio,
  hubert,
  sew,
  unispeech,
  wav2vec2,
  wav2vec2Bert,
  wav2vec2Conformer,
  wavlm,
} from './wav2vec2.ts';
import { moonshine, whisper } from './whisper.ts';

/** Every speech family, for `openModel(source, { families: speechFamilies })`. */
export const speechFamilies: readonly DescribedFamily[] = [
  whisper,
  moonshine,
  wav2vec2,
  hubert,
  wavlm,
  data2vecAudio,
  unispeech,
  sew,
  wav2vec2Conformer,
  wav2vec2Bert,
  audioSpectrogramTransformer,
];
