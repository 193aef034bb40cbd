/** @file The family w2v-BERT 2.0. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { encoderTasks, speechFamily } from './speechFamily.ts';
import { adapterModules, conformerModules, headModules } from './wav2vec2Modules.ts';

/** w2v-BERT 2.0 as transformers writes it: a Conformer on mel filter banks. */
export const wav2vec2Bert: DescribedFamily = speechFamily({
  name: 'wav2vec2-bert',
  title: 'w2v-BERT 2',
  paper:
    'Seamless Communication, "Seamless: Multilingual Expressive and Streaming Speech Translation" (2023), arXiv:2312.05187',
  modelTypes: ['wav2vec2-bert'],
  signatures: [
    ['^wav2vec2_bert.encoder.layers.{n}'],
    ['^encoder.layers.{n}.self_attn.linear_q', '^feature_projection.projection', '!^feature_extractor.conv_layers'],
  ],
  names: {
    ...conformerModules,
    projection: ['feature_projection.projection'],
    ...headModules,
    ...adapterModules,
    'mlp.intermediate': [/(?:.*\.)?(?:intermediate_ffn|adapter\.layers\.\d+\.ffn)\.(?:intermediate|output)_dense/],
    'adapter.attention': [/(?:.*\.)?adapter\.layers\.\d+\.self_attn\.linear_\w+/],
  },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: encoderTasks,
  preprocessors: ['SeamlessM4TFeatureExtractor'],
});
