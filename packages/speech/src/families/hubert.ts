/** @file The family HuBERT. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { encoderTasks, speechFamily } from './speechFamily.ts';
import { wav2vec2Modules } from './wav2vec2Modules.ts';

/** HuBERT and DistilHuBERT as transformers writes them: wav2vec 2.0's network, trained otherwise. */
export const hubert: DescribedFamily = speechFamily({
  name: 'hubert',
  title: 'HuBERT',
  paper:
    'Hsu et al., "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units" (2021), arXiv:2106.07447',
  modelTypes: ['hubert'],
  signatures: [['^hubert.encoder.layers.{n}.attention.q_proj']],
  names: wav2vec2Modules,
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: encoderTasks,
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});
