/** @file The family wav2vec 2.0. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { encoderTasks, speechFamily } from './speechFamily.ts';
import { adapterModules, wav2vec2Modules } from './wav2vec2Modules.ts';

/**
 * wav2vec 2.0, XLS-R and MMS as transformers writes them. MMS's own adapters, one per language, are in the graph as they were
 * when it was exported.
 */
export const wav2vec2: DescribedFamily = speechFamily({
  name: 'wav2vec2',
  title: 'wav2vec 2, XLS-R and MMS',
  paper:
    'Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations" (2020), arXiv:2006.11477',
  modelTypes: ['wav2vec2', 'mms'],
  signatures: [
    ['^wav2vec2.encoder.layers.{n}.attention.q_proj'],
    // A base model that was exported by itself; HuBERT and UniSpeech look the same then.
    [
      '^feature_extractor.conv_layers.{n}.conv',
      '^feature_projection.projection',
      '^encoder.layers.{n}.attention.q_proj',
      '!^encoder.pos_conv_embed.layers',
    ],
  ],
  names: { ...wav2vec2Modules, ...adapterModules },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: encoderTasks,
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});
