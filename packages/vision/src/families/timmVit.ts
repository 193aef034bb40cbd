/** @file The family of timm's vision transformers. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

const block = 'blocks.{n}';
const notOthers = ['!neck', `!${block}.mlp.lin1`, `!${block}.mlp.proj_in`];

/**
 * ViT as timm writes it, and whatever else has its names: timm's DeiT, EVA, DINOv2, DINOv3 and SigLIP towers, and
 * DINO and DINOv2 of their authors. They are one family since nothing in a graph tells them apart. Queries, keys and
 * values are one layer in all but some EVAs.
 */
export const timmVit: DescribedFamily = visionFamily({
  name: 'timm-vit',
  title: 'ViT of timm',
  paper: 'Wightman, "PyTorch Image Models" (2019), https://github.com/huggingface/pytorch-image-models',
  modelTypes: [],
  signatures: ['^', '^timm_model.', '^model.', '^backbone.', '^trunk.', '^visual.trunk.'].flatMap((prefix) =>
    ['qkv', 'q_proj'].map((layer) => [`${prefix}${block}.attn.${layer}`, `${prefix}${block}.attn.proj`, ...notOthers]),
  ),
  names: {
    'patch-embedding': ['patch_embed.proj'],
    'attention.query-key-value': [`${block}.attn.qkv`],
    'attention.query': [`${block}.attn.q_proj`],
    'attention.key': [`${block}.attn.k_proj`],
    'attention.value': [`${block}.attn.v_proj`],
    'attention.output': [`${block}.attn.proj`],
    'mlp.up': [`${block}.mlp.fc1`, `${block}.mlp.fc1_x`, `${block}.mlp.w12`],
    'mlp.gate': [`${block}.mlp.fc1_g`],
    'mlp.down': [`${block}.mlp.fc2`, `${block}.mlp.w3`],
    downsample: [`${block}.proj`],
    'head.attention': ['attn_pool.q', 'attn_pool.kv', 'attn_pool.proj'],
    'head.mlp': ['attn_pool.mlp.fc{n}'],
    classifier: ['head', 'head_dist', 'head.fc'],
  },
  defaultTargets: queriesAndValues,
  targetsFrom: `${asInLora}, with the keys of the same layer`,
  tasks: backboneTasks,
  preprocessors: ['TimmWrapperImageProcessor'],
});
