/** @file The families MobileViT and MobileViT V2. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

const layer = 'transformer.layer.{n}';

/**
 * Convolutions of MobileViT's two versions outside their transformers: those that reduce, expand and mix, and the heads'
 * for segmentation.
 */
const mobileConvolutions: readonly string[] = [
  'conv_stem.convolution',
  'conv_1x1_exp.convolution',
  'layer.{n}.expand_1x1.convolution',
  'layer.{n}.conv_3x3.convolution',
  'layer.{n}.reduce_1x1.convolution',
  'downsampling_layer.expand_1x1.convolution',
  'downsampling_layer.conv_3x3.convolution',
  'downsampling_layer.reduce_1x1.convolution',
  'layer.{n}.conv_kxk.convolution',
  'layer.{n}.conv_1x1.convolution',
  'layer.{n}.conv_projection.convolution',
  'layer.{n}.fusion.convolution',
  'segmentation_head.aspp.convs.{n}.convolution',
  'segmentation_head.aspp.convs.{n}.conv_1x1.convolution',
  'segmentation_head.aspp.project.convolution',
];

/** MobileViT as transformers writes it; transformers 4 and 5 use the same names. */
export const mobilevit: DescribedFamily = visionFamily({
  name: 'mobilevit',
  title: 'MobileViT',
  paper:
    'Mehta and Rastegari, "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision Transformer" (2021), arXiv:2110.02178',
  modelTypes: ['mobilevit'],
  signatures: [[`encoder.layer.{n}.${layer}.attention.attention.query`]],
  names: {
    'attention.query': [`${layer}.attention.attention.query`],
    'attention.key': [`${layer}.attention.attention.key`],
    'attention.value': [`${layer}.attention.attention.value`],
    'attention.output': [`${layer}.attention.output.dense`],
    'mlp.up': [`${layer}.intermediate.dense`],
    'mlp.down': [`${layer}.output.dense`],
    convolution: mobileConvolutions,
    classifier: ['^classifier', '^segmentation_head.classifier.convolution'],
  },
  tasks: [...backboneTasks, 'semantic-segmentation'],
  preprocessors: ['MobileViTImageProcessor'],
});

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
  tasks: [...backboneTasks, 'semantic-segmentation'],
  preprocessors: ['MobileViTImageProcessor'],
});
