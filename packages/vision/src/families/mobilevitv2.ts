/** @file The family MobileViT V2. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { mobileConvolutions } from './mobilevit.ts';
import { backboneTasks, visionFamily } from './visionFamily.ts';

const layer = 'transformer.layer.{n}';

/** MobileViT V2 as transformers writes it, whose attention is made of pointwise convolutions. */
export const mobilevitv2: DescribedFamily = visionFamily({
  name: 'mobilevitv2',
  title: 'MobileViT V2',
  paper: 'Mehta and Rastegari, "Separable Self-attention for Mobile Vision Transformers" (2022), arXiv:2206.02680',
  modelTypes: ['mobilevitv2'],
  signatures: [[`encoder.layer.{n}.${layer}.attention.qkv_proj.convolution`]],
  names: {
    'attention.query-key-value': [`${layer}.attention.qkv_proj.convolution`],
    'attention.output': [`${layer}.attention.out_proj.convolution`],
    'mlp.up': [`${layer}.ffn.conv1.convolution`],
    'mlp.down': [`${layer}.ffn.conv2.convolution`],
    convolution: mobileConvolutions,
    classifier: ['^classifier', '^segmentation_head.classifier.convolution'],
  },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: [...backboneTasks, 'semantic-segmentation'],
  preprocessors: ['MobileViTImageProcessor'],
});
