/** @file The family BEiT. */

import { asInLora, type DescribedFamily, type NamePair, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';
import { vitLayer, vitModules, vitUnder } from './vitModules.ts';

/** What the head for segmentation calls its convolutions and their norms. */
const convolutions = [
  ['decode_head.psp_modules.{n}.1', 'decode_head.psp_modules.blocks.{n}.conv'],
  ['decode_head.bottleneck', 'decode_head.psp_bottleneck'],
  ...['decode_head.lateral_convs.{n}', 'decode_head.fpn_convs.{n}', 'decode_head.fpn_bottleneck'].map((name) => [
    name,
    name,
  ]),
  ['auxiliary_head.convs.{n}', 'auxiliary_head.convs.{n}'],
] as const;

/** BEiT as transformers writes it: ViT's encoder with relative positions, also with a head for segmentation. */
export const beit: DescribedFamily = visionFamily({
  name: 'beit',
  title: 'BEiT',
  paper: 'Bao et al., "BEiT: BERT Pre-Training of Image Transformers" (2021), arXiv:2106.08254',
  modelTypes: ['beit'],
  signatures: vitUnder('beit'),
  names: {
    ...vitModules,
    classifier: ['^classifier', '^decode_head.classifier'],
    'head.pyramid': [
      { 4: '^fpn1.0', 5: '^fpn.fpn1.conv_transpose1' },
      { 4: '^fpn1.3', 5: '^fpn.fpn1.conv_transpose2' },
      { 4: '^fpn2.0', 5: '^fpn.fpn2' },
    ],
    'head.convolution': convolutions.map(([old, recent]) => ({ 4: `${old}.conv`, 5: `${recent}.convolution` })),
    'head.auxiliary': ['^auxiliary_head.classifier'],
  },
  renamed: [
    vitLayer,
    {
      4: 'encoder.layer.{n}.attention.attention.relative_position_bias',
      5: 'layers.{n}.relative_position_bias',
    },
    { 4: '^fpn1.1', 5: '^fpn.fpn1.normalization' },
    ...convolutions.map(([old, recent]): NamePair => ({ 4: `${old}.bn`, 5: `${recent}.normalization` })),
  ],
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: [...backboneTasks, 'semantic-segmentation'],
  preprocessors: ['BeitImageProcessor'],
});
