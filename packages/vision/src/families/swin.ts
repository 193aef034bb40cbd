/** @file The family Swin. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

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
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: backboneTasks,
  preprocessors: ['ViTImageProcessor'],
});
