/** @file The family ConvNeXt. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

const layer = 'encoder.stages.{n}.layers.{n}';
const timmBlock = 'stages.{n}.blocks.{n}';
const torchvisionBlock = 'features.{n}.{n}.block';

/** The reason for adapting a ConvNeXt's pointwise layers. */
export const pointwiseLayers =
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
  tasks: backboneTasks,
  preprocessors: ['ConvNextImageProcessor'],
});
