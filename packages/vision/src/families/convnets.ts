/** @file Convolutional families: ConvNeXt, DINOv3's ConvNeXt and ResNet. */

import type { DescribedFamily, NamePair } from '@onnx-lora/sdk/plugin';
import { visionFamily } from './visionFamily.ts';

const layer = 'encoder.stages.{n}.layers.{n}';
const timmBlock = 'stages.{n}.blocks.{n}';
const torchvisionBlock = 'features.{n}.{n}.block';

const pointwiseLayers =
  'no study of this family; the pointwise layers, which hold nearly all weights and are linear as in a transformer';

/**
 * ConvNeXt and ConvNeXt V2 as transformers, timm and torchvision write them; transformers 4 and 5 use the same names.
 * Depthwise convolutions can be adapted; PEFT cannot merge them.
 */
export const convnext: DescribedFamily = visionFamily({
  name: 'convnext',
  title: 'ConvNeXt and ConvNeXt V2',
  paper:
    'Liu et al., "A ConvNet for the 2020s" (2022), arXiv:2201.03545; Woo et al., "ConvNeXt V2" (2023), arXiv:2301.00808',
  modelTypes: ['convnext', 'convnextv2'],
  signatures: [[`${layer}.pwconv1`], [`${timmBlock}.conv_dw`], [`^${torchvisionBlock}.3`, `^${torchvisionBlock}.5`]],
  names: {
    'patch-embedding': ['embeddings.patch_embeddings', 'stem.{n}', '^features.0.0'],
    'mlp.up': [`${layer}.pwconv1`, `${timmBlock}.mlp.fc1`, `${torchvisionBlock}.3`],
    'mlp.down': [`${layer}.pwconv2`, `${timmBlock}.mlp.fc2`, `${torchvisionBlock}.5`],
    depthwise: [`${layer}.dwconv`, `${timmBlock}.conv_dw`, `${torchvisionBlock}.0`],
    downsample: ['encoder.stages.{n}.downsampling_layer.{n}', 'stages.{n}.downsample.{n}', '^features.{n}.1'],
    classifier: ['^classifier', 'head.fc', '^classifier.2'],
  },
  defaultTargets: ['mlp.up', 'mlp.down'],
  targetsFrom: pointwiseLayers,
  preprocessors: ['ConvNextImageProcessor'],
});

const inModelStages = (name: string): NamePair => ({ 4: `^stages.{n}.${name}`, 5: `^model.stages.{n}.${name}` });

/** DINOv3's ConvNeXt as transformers writes it, since 4.56. */
export const dinov3Convnext: DescribedFamily = visionFamily({
  name: 'dinov3_convnext',
  title: 'DINOv3 (ConvNeXt)',
  paper: 'Siméoni et al., "DINOv3" (2025), arXiv:2508.10104',
  modelTypes: ['dinov3_convnext'],
  signatures: [['^stages.{n}.layers.{n}.depthwise_conv'], ['^model.stages.{n}.layers.{n}.depthwise_conv']],
  names: {
    'mlp.up': [inModelStages('layers.{n}.pointwise_conv1')],
    'mlp.down': [inModelStages('layers.{n}.pointwise_conv2')],
    depthwise: [inModelStages('layers.{n}.depthwise_conv')],
    downsample: [inModelStages('downsample_layers.{n}')],
  },
  renamed: [{ 4: '^stages.{n}', 5: '^model.stages.{n}' }],
  defaultTargets: ['mlp.up', 'mlp.down'],
  targetsFrom: pointwiseLayers,
  preprocessors: ['DINOv3ViTImageProcessor'],
});

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
  preprocessors: ['ConvNextImageProcessor'],
});
