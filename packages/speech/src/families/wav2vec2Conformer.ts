/** @file The family wav2vec 2.0 Conformer. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { encoderTasks, speechFamily } from './speechFamily.ts';
import { adapterModules, conformerModules, headModules, waveformModules } from './wav2vec2Modules.ts';

/** wav2vec 2.0 with a Conformer as its encoder, as transformers writes it, with relative or rotary positions. */
export const wav2vec2Conformer: DescribedFamily = speechFamily({
  name: 'wav2vec2-conformer',
  title: 'wav2vec 2 Conformer',
  paper: 'Wang et al., "fairseq S2T: Fast Speech-to-Text Modeling with fairseq" (2020), arXiv:2010.05171',
  modelTypes: ['wav2vec2-conformer'],
  signatures: [
    ['^wav2vec2_conformer.encoder.layers.{n}'],
    ['^feature_extractor.conv_layers.{n}.conv', '^encoder.layers.{n}.self_attn.linear_q'],
  ],
  names: { ...waveformModules, ...conformerModules, ...headModules, ...adapterModules },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: encoderTasks,
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});
