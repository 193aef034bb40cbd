/** @file The family ResNet. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

/** ResNet as transformers, timm and torchvision write it; transformers 4 and 5 use the same names. */
export const resnet: DescribedFamily = visionFamily({
  name: 'resnet',
  title: 'ResNet',
  paper: 'He et al., "Deep Residual Learning for Image Recognition" (2015), arXiv:1512.03385',
  modelTypes: ['resnet'],
  signatures: [
    ['^resnet.encoder.stages.{n}.layers.{n}.layer.{n}.convolution'],
    ['^layer1.{n}.conv1', '^layer4.{n}.conv2'],
    ['^timm_model.layer1.{n}.conv1', '^timm_model.layer4.{n}.conv2'],
  ],
  names: {
    stem: ['embedder.embedder.convolution', '^conv1', '^conv1.{n}', '^timm_model.conv1', '^timm_model.conv1.{n}'],
    convolution: ['encoder.stages.{n}.layers.{n}.layer.{n}.convolution', 'layer{n}.{n}.conv{n}'],
    shortcut: ['encoder.stages.{n}.layers.{n}.shortcut.convolution', 'layer{n}.{n}.downsample.{n}'],
    classifier: ['^classifier.1', '^fc', '^timm_model.fc'],
  },
  defaultTargets: ['convolution'],
  targetsFrom: 'no study of this family; all convolutions of its blocks',
  tasks: backboneTasks,
  preprocessors: ['ConvNextImageProcessor'],
});
