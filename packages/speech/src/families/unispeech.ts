/** @file The family UniSpeech. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { encoderTasks, speechFamily } from './speechFamily.ts';
import { wav2vec2Modules } from './wav2vec2Modules.ts';

/** UniSpeech and UniSpeech-SAT as transformers writes them: wav2vec 2.0's network, trained otherwise. */
export const unispeech: DescribedFamily = speechFamily({
  name: 'unispeech',
  title: 'UniSpeech and UniSpeech-SAT',
  paper:
    'Wang et al., "UniSpeech: Unified Speech Representation Learning with Labeled and Unlabeled Data" (2021), arXiv:2101.07597',
  modelTypes: ['unispeech', 'unispeech-sat'],
  signatures: [['^unispeech.encoder.layers.{n}'], ['^unispeech_sat.encoder.layers.{n}']],
  names: wav2vec2Modules,
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: encoderTasks,
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});
