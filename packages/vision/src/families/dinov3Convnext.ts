/** @file The family of DINOv3's convolutional networks. */

import type { DescribedFamily, NamePair } from '@onnx-lora/sdk/plugin';
import { pointwiseLayers } from './convnext.ts';
import { backboneTasks, visionFamily } from './visionFamily.ts';

/** transformers 5 put a module around the stages. */
const inModel = (name: string): NamePair => ({ 4: `^stages.{n}.${name}`, 5: `^model.stages.{n}.${name}` });

/** DINOv3's ConvNeXt as transformers writes it, since 4.56. */
export const dinov3Convnext: DescribedFamily = visionFamily({
  name: 'dinov3_convnext',
  title: 'DINOv3 (ConvNeXt)',
  paper: 'Siméoni et al., "DINOv3" (2025), arXiv:2508.10104',
  modelTypes: ['dinov3_convnext'],
  signatures: [['^stages.{n}.layers.{n}.depthwise_conv'], ['^model.stages.{n}.layers.{n}.depthwise_conv']],
  names: {
    'mlp.up': [inModel('layers.{n}.pointwise_conv1')],
    'mlp.down': [inModel('layers.{n}.pointwise_conv2')],
    depthwise: [inModel('layers.{n}.depthwise_conv')],
    downsample: [inModel('downsample_layers.{n}')],
  },
  renamed: [{ 4: '^stages.{n}', 5: '^model.stages.{n}' }],
  defaultTargets: ['mlp.up', 'mlp.down'],
  targetsFrom: pointwiseLayers,
  tasks: backboneTasks,
  preprocessors: ['DINOv3ViTImageProcessor'],
});
