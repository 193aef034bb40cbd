/** @file The family of torchvision's vision transformers. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

const layer = 'encoder.layers.encoder_layer_{n}';

/** ViT as torchvision writes it: torch's MultiheadAttention, whose queries, keys and values are one parameter. */
export const torchvisionVit: DescribedFamily = visionFamily({
  name: 'torchvision-vit',
  title: 'ViT of torchvision',
  paper:
    'Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale" (2020), arXiv:2010.11929',
  modelTypes: [],
  signatures: [[`${layer}.mlp.0`, '^conv_proj']],
  names: {
    'patch-embedding': ['^conv_proj'],
    'attention.query-key-value': [`${layer}.self_attention`],
    'attention.output': [`${layer}.self_attention.out_proj`],
    'mlp.up': [`${layer}.mlp.0`, `${layer}.mlp.linear_1`],
    'mlp.down': [`${layer}.mlp.3`, `${layer}.mlp.linear_2`],
    classifier: ['heads.head'],
  },
  defaultTargets: ['attention.query-key-value'],
  targetsFrom:
    "no study of this naming; the attention as a whole, since PEFT adapts the output of torch's MultiheadAttention along with queries, keys and values",
  tasks: backboneTasks,
  preprocessors: ['ViTImageProcessor'],
});
