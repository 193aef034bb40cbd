/** @file The family SEW (Squeezed and Efficient Wav2vec). */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { encoderTasks, speechFamily } from './speechFamily.ts';
import { wav2vec2Modules } from './wav2vec2Modules.ts';

/** SEW as transformers writes it: wav2vec 2.0's encoder on a shortened sequence. */
export const sew: DescribedFamily = speechFamily({
  name: 'sew',
  title: 'SEW',
  paper:
    'Wu et al., "Performance-Efficiency Trade-offs in Unsupervised Pre-training for Speech Recognition" (2021), arXiv:2109.06870',
  modelTypes: ['sew'],
  signatures: [['^sew.encoder.layers.{n}'], ['^encoder.upsample.projection', '^encoder.layers.{n}.attention.q_proj']],
  names: {
    ...wav2vec2Modules,
    projection: ['^feature_projection', '^sew.feature_projection', 'encoder.upsample.projection'],
  },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: encoderTasks,
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});
