/** @file The family data2vec for speech. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { encoderTasks, speechFamily } from './speechFamily.ts';
import { adapterModules, wav2vec2Modules } from './wav2vec2Modules.ts';

/** data2vec's model of speech as transformers writes it: wav2vec 2.0's network with several convolutions for positions. */
export const data2vecAudio: DescribedFamily = speechFamily({
  name: 'data2vec-audio',
  title: 'data2vec (audio)',
  paper:
    'Baevski et al., "data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language" (2022), arXiv:2202.03555',
  modelTypes: ['data2vec-audio'],
  signatures: [
    ['^data2vec_audio.encoder.layers.{n}'],
    ['^encoder.pos_conv_embed.layers.{n}', '^encoder.layers.{n}.attention.q_proj'],
  ],
  names: { ...wav2vec2Modules, ...adapterModules },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: encoderTasks,
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});
