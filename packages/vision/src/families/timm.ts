/** @file Vision transformers of timm and torchvision. */

import { asInLora, type DescribedFamily } from '@onnx-lora/sdk/plugin';
import { visionFamily } from './visionFamily.ts';

const block = 'blocks.{n}';
const notOthers = ['!neck', `!${block}.mlp.lin1`, `!${block}.mlp.proj_in`];

/**
 * ViT as timm writes it, and models with its names: timm's DeiT, EVA, DINOv2, DINOv3 and SigLIP towers, and the
 * originals of DINO and DINOv2, which a graph does not tell apart. Queries, keys and values are one layer, except in
 * some EVAs.
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
  targetsFrom: `${asInLora}, with the keys of the same layer`,
  preprocessors: ['TimmWrapperImageProcessor'],
});

/**
 * BEiT as timm writes it. Its attention uses `qkv`'s weight past the layer: PEFT has no effect there, a graph lacks it.
 */
export const timmBeit: DescribedFamily = visionFamily({
  name: 'timm-beit',
  title: 'BEiT of timm',
  paper: 'Bao et al., "BEiT: BERT Pre-Training of Image Transformers" (2021), arXiv:2106.08254',
  modelTypes: [],
  signatures: ['^', '^timm_model.'].map((prefix) => [
    `${prefix}${block}.attn.proj`,
    `!${block}.attn.qkv`,
    `!${block}.attn.q_proj`,
    '!neck',
  ]),
  names: {
    'patch-embedding': ['patch_embed.proj'],
    'attention.output': [`${block}.attn.proj`],
    'mlp.up': [`${block}.mlp.fc1`],
    'mlp.down': [`${block}.mlp.fc2`],
    classifier: ['head'],
  },
  defaultTargets: ['attention.output', 'mlp.up'],
  targetsFrom: 'no study of this naming; what PEFT can adapt near the queries and values: the layers before and after',
  preprocessors: ['TimmWrapperImageProcessor'],
});

const layer = 'encoder.layers.encoder_layer_{n}';

/** ViT as torchvision writes it: torch's MultiheadAttention, with queries, keys and values in one parameter. */
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
  preprocessors: ['ViTImageProcessor'],
});
