/** @file The family Swin V2. */

import { asInLora, type DescribedFamily } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

const block = 'encoder.layers.{n}.blocks.{n}';
const timmBlock = 'layers.{n}.blocks.{n}';

/**
 * Swin V2 as transformers and timm write it; transformers 4 and 5 use the same names. timm's attention multiplies with the
 * weight of `qkv` past that layer, so that a graph does not have it.
 */
export const swinv2: DescribedFamily = visionFamily({
  name: 'swinv2',
  title: 'Swin V2',
  paper: 'Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution" (2021), arXiv:2111.09883',
  modelTypes: ['swinv2'],
  signatures: [
    [`^swinv2.${block}.attention`],
    [`^${block}.attention`, 'continuous_position_bias_mlp'],
    [`${timmBlock}.attn.proj`, `${timmBlock}.attn.cpb_mlp`],
  ],
  names: {
    'patch-embedding': ['embeddings.patch_embeddings.projection', 'patch_embed.proj'],
    'attention.query': [`${block}.attention.self.query`],
    'attention.key': [`${block}.attention.self.key`],
    'attention.value': [`${block}.attention.self.value`],
    'attention.output': [`${block}.attention.output.dense`],
    'attention.projection': [`${timmBlock}.attn.proj`],
    'attention.position': [`${block}.attention.self.continuous_position_bias_mlp.{n}`, `${timmBlock}.attn.cpb_mlp.{n}`],
    'mlp.up': [`${block}.intermediate.dense`, `${timmBlock}.mlp.fc1`],
    'mlp.down': [`${block}.output.dense`, `${timmBlock}.mlp.fc2`],
    downsample: ['layers.{n}.downsample.reduction'],
    classifier: ['^classifier', 'head.fc'],
  },
  defaultTargets: ['attention.query', 'attention.value', 'attention.projection'],
  targetsFrom: `${asInLora}; in timm's, whose queries and values PEFT cannot adapt, the projection after them`,
  tasks: backboneTasks,
  preprocessors: ['ViTImageProcessor'],
});
