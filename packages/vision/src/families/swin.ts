/** @file The families Swin and Swin V2. */

import { asInLora, type DescribedFamily } from '@onnx-lora/sdk/plugin';
import { visionFamily } from './visionFamily.ts';

const block = 'encoder.layers.{n}.blocks.{n}';
const timmBlock = 'layers.{n}.blocks.{n}';

/** The Swin Transformer as transformers and timm write it. */
export const swin: DescribedFamily = visionFamily({
  name: 'swin',
  title: 'Swin',
  paper:
    'Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (2021), arXiv:2103.14030',
  modelTypes: ['swin'],
  signatures: [
    [`^swin.${block}.attention`],
    [`^${block}.attention`, '!continuous_position_bias_mlp'],
    [`^${timmBlock}.attn.qkv`, `!${timmBlock}.attn.cpb_mlp`, '!local_conv'],
    [`^timm_model.${timmBlock}.attn.qkv`, `!${timmBlock}.attn.cpb_mlp`],
  ],
  names: {
    'patch-embedding': ['embeddings.patch_embeddings.projection', 'patch_embed.proj'],
    'attention.query': [{ 4: `${block}.attention.self.query`, 5: `${block}.attention.q_proj` }],
    'attention.key': [{ 4: `${block}.attention.self.key`, 5: `${block}.attention.k_proj` }],
    'attention.value': [{ 4: `${block}.attention.self.value`, 5: `${block}.attention.v_proj` }],
    'attention.query-key-value': [`${timmBlock}.attn.qkv`],
    'attention.output': [
      { 4: `${block}.attention.output.dense`, 5: `${block}.attention.o_proj` },
      `${timmBlock}.attn.proj`,
    ],
    'mlp.up': [{ 4: `${block}.intermediate.dense`, 5: `${block}.mlp.fc1` }, `${timmBlock}.mlp.fc1`],
    'mlp.down': [{ 4: `${block}.output.dense`, 5: `${block}.mlp.fc2` }, `${timmBlock}.mlp.fc2`],
    downsample: ['layers.{n}.downsample.reduction'],
    classifier: ['^classifier', 'head.fc'],
  },
  // What is left in the attention is the table of relative positions.
  renamed: [{ 4: `${block}.attention.self`, 5: `${block}.attention.relative_position_bias` }],
  preprocessors: ['ViTImageProcessor'],
});

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
  preprocessors: ['ViTImageProcessor'],
});
