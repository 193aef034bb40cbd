/** @file All families of the speech package. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { audioSpectrogramTransformer } from './audioSpectrogramTransformer.ts';
import { data2vecAudio } from './data2vecAudio.ts';
import { hubert } from './hubert.ts';
import { moonshine } from './moonshine.ts';
import { sew } from './sew.ts';
import { unispeech } from './unispeech.ts';
import { wav2vec2 } from './wav2vec2.ts';
import { wav2vec2Bert } from './wav2vec2Bert.ts';
import { wav2vec2Conformer } from './wav2vec2Conformer.ts';
import { wavlm } from './wavlm.ts';
import { whisper } from './whisper.ts';

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
