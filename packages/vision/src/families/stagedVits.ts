/** @file Hierarchical vision transformers: Swin, MobileViT and SegFormer. */

import { asInLora, type DescribedFamily } from '@onnx-lora/sdk/plugin';
import { visionFamily, backboneTasks } from './visionFamily.ts';

const swinBlock = 'encoder.layers.{n}.blocks.{n}';
const timmBlock = 'layers.{n}.blocks.{n}';

/** The Swin Transformer as transformers and timm write it. */
export const swin: DescribedFamily = visionFamily({
  name: 'swin',
  title: 'Swin',
  paper:
    'Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (2021), arXiv:2103.14030',
  modelTypes: ['swin'],
  signatures: [
    [`^swin.${swinBlock}.attention`],
    [`^${swinBlock}.attention`, '!continuous_position_bias_mlp'],
    [`^${timmBlock}.attn.qkv`, `!${timmBlock}.attn.cpb_mlp`, '!local_conv'],
    [`^timm_model.${timmBlock}.attn.qkv`, `!${timmBlock}.attn.cpb_mlp`],
  ],
  names: {
    'patch-embedding': ['embeddings.patch_embeddings.projection', 'patch_embed.proj'],
    'attention.query': [{ 4: `${swinBlock}.attention.self.query`, 5: `${swinBlock}.attention.q_proj` }],
    'attention.key': [{ 4: `${swinBlock}.attention.self.key`, 5: `${swinBlock}.attention.k_proj` }],
    'attention.value': [{ 4: `${swinBlock}.attention.self.value`, 5: `${swinBlock}.attention.v_proj` }],
    'attention.query-key-value': [`${timmBlock}.attn.qkv`],
    'attention.output': [
      { 4: `${swinBlock}.attention.output.dense`, 5: `${swinBlock}.attention.o_proj` },
      `${timmBlock}.attn.proj`,
    ],
    'mlp.up': [{ 4: `${swinBlock}.intermediate.dense`, 5: `${swinBlock}.mlp.fc1` }, `${timmBlock}.mlp.fc1`],
    'mlp.down': [{ 4: `${swinBlock}.output.dense`, 5: `${swinBlock}.mlp.fc2` }, `${timmBlock}.mlp.fc2`],
    downsample: ['layers.{n}.downsample.reduction'],
    classifier: ['^classifier', 'head.fc'],
  },
  // The rest of the attention is the table of relative positions.
  renamed: [{ 4: `${swinBlock}.attention.self`, 5: `${swinBlock}.attention.relative_position_bias` }],
  preprocessors: ['ViTImageProcessor'],
});

/** Swin V2 as transformers and timm write it. timm's attention uses `qkv`'s weight past the layer: a graph lacks it. */
export const swinv2: DescribedFamily = visionFamily({
  name: 'swinv2',
  title: 'Swin V2',
  paper: 'Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution" (2021), arXiv:2111.09883',
  modelTypes: ['swinv2'],
  signatures: [
    [`^swinv2.${swinBlock}.attention`],
    [`^${swinBlock}.attention`, 'continuous_position_bias_mlp'],
    [`${timmBlock}.attn.proj`, `${timmBlock}.attn.cpb_mlp`],
  ],
  names: {
    'patch-embedding': ['embeddings.patch_embeddings.projection', 'patch_embed.proj'],
    'attention.query': [`${swinBlock}.attention.self.query`],
    'attention.key': [`${swinBlock}.attention.self.key`],
    'attention.value': [`${swinBlock}.attention.self.value`],
    'attention.output': [`${swinBlock}.attention.output.dense`],
    'attention.projection': [`${timmBlock}.attn.proj`],
    'attention.position': [
      `${swinBlock}.attention.self.continuous_position_bias_mlp.{n}`,
      `${timmBlock}.attn.cpb_mlp.{n}`,
    ],
    'mlp.up': [`${swinBlock}.intermediate.dense`, `${timmBlock}.mlp.fc1`],
    'mlp.down': [`${swinBlock}.output.dense`, `${timmBlock}.mlp.fc2`],
    downsample: ['layers.{n}.downsample.reduction'],
    classifier: ['^classifier', 'head.fc'],
  },
  defaultTargets: ['attention.query', 'attention.value', 'attention.projection'],
  targetsFrom: `${asInLora}; in timm's, whose queries and values PEFT cannot adapt, the projection after them`,
  preprocessors: ['ViTImageProcessor'],
});

const mobilevitLayer = 'transformer.layer.{n}';

/** Convolutions outside of MobileViT's transformers, and of the segmentation heads. */
const mobileConvolutions: readonly string[] = [
  'conv_stem.convolution',
  'conv_1x1_exp.convolution',
  'layer.{n}.expand_1x1.convolution',
  'layer.{n}.conv_3x3.convolution',
  'layer.{n}.reduce_1x1.convolution',
  'downsampling_layer.expand_1x1.convolution',
  'downsampling_layer.conv_3x3.convolution',
  'downsampling_layer.reduce_1x1.convolution',
  'layer.{n}.conv_kxk.convolution',
  'layer.{n}.conv_1x1.convolution',
  'layer.{n}.conv_projection.convolution',
  'layer.{n}.fusion.convolution',
  'segmentation_head.aspp.convs.{n}.convolution',
  'segmentation_head.aspp.convs.{n}.conv_1x1.convolution',
  'segmentation_head.aspp.project.convolution',
];

/** MobileViT as transformers writes it; transformers 4 and 5 use the same names. */
export const mobilevit: DescribedFamily = visionFamily({
  name: 'mobilevit',
  title: 'MobileViT',
  paper:
    'Mehta and Rastegari, "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision Transformer" (2021), arXiv:2110.02178',
  modelTypes: ['mobilevit'],
  signatures: [[`encoder.layer.{n}.${mobilevitLayer}.attention.attention.query`]],
  names: {
    'attention.query': [`${mobilevitLayer}.attention.attention.query`],
    'attention.key': [`${mobilevitLayer}.attention.attention.key`],
    'attention.value': [`${mobilevitLayer}.attention.attention.value`],
    'attention.output': [`${mobilevitLayer}.attention.output.dense`],
    'mlp.up': [`${mobilevitLayer}.intermediate.dense`],
    'mlp.down': [`${mobilevitLayer}.output.dense`],
    convolution: mobileConvolutions,
    classifier: ['^classifier', '^segmentation_head.classifier.convolution'],
  },
  tasks: [...backboneTasks, 'semantic-segmentation'],
  preprocessors: ['MobileViTImageProcessor'],
});

/** MobileViT V2 as transformers writes it; its attention consists of pointwise convolutions. */
export const mobilevitv2: DescribedFamily = visionFamily({
  name: 'mobilevitv2',
  title: 'MobileViT V2',
  paper: 'Mehta and Rastegari, "Separable Self-attention for Mobile Vision Transformers" (2022), arXiv:2206.02680',
  modelTypes: ['mobilevitv2'],
  signatures: [[`encoder.layer.{n}.${mobilevitLayer}.attention.qkv_proj.convolution`]],
  names: {
    'attention.query-key-value': [`${mobilevitLayer}.attention.qkv_proj.convolution`],
    'attention.output': [`${mobilevitLayer}.attention.out_proj.convolution`],
    'mlp.up': [`${mobilevitLayer}.ffn.conv1.convolution`],
    'mlp.down': [`${mobilevitLayer}.ffn.conv2.convolution`],
    convolution: mobileConvolutions,
    classifier: ['^classifier', '^segmentation_head.classifier.convolution'],
  },
  tasks: [...backboneTasks, 'semantic-segmentation'],
  preprocessors: ['MobileViTImageProcessor'],
});

const oldSegformer = 'encoder.block.{n}.{n}';
const newSegformer = 'stages.{n}.blocks.{n}';

/** SegFormer as transformers writes it, with a segmentation or classification head. */
export const segformer: DescribedFamily = visionFamily({
  name: 'segformer',
  title: 'SegFormer',
  paper:
    'Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers" (2021), arXiv:2105.15203',
  modelTypes: ['segformer'],
  signatures: [
    [`^segformer.${oldSegformer}`],
    [`^segformer.${newSegformer}`],
    [`^${oldSegformer}.mlp.dwconv`],
    [`^${newSegformer}.mlp.dwconv`],
  ],
  names: {
    'patch-embedding': [{ 4: 'encoder.patch_embeddings.{n}.proj', 5: 'stages.{n}.patch_embeddings.proj' }],
    'attention.query': [{ 4: `${oldSegformer}.attention.self.query`, 5: `${newSegformer}.attention.q_proj` }],
    'attention.key': [{ 4: `${oldSegformer}.attention.self.key`, 5: `${newSegformer}.attention.k_proj` }],
    'attention.value': [{ 4: `${oldSegformer}.attention.self.value`, 5: `${newSegformer}.attention.v_proj` }],
    'attention.output': [{ 4: `${oldSegformer}.attention.output.dense`, 5: `${newSegformer}.attention.o_proj` }],
    'attention.reduction': [
      { 4: `${oldSegformer}.attention.self.sr`, 5: `${newSegformer}.attention.sequence_reduction.sequence_reduction` },
    ],
    'mlp.up': [{ 4: `${oldSegformer}.mlp.dense1`, 5: `${newSegformer}.mlp.fc1` }],
    'mlp.depthwise': [{ 4: `${oldSegformer}.mlp.dwconv.dwconv`, 5: `${newSegformer}.mlp.dwconv.dwconv` }],
    'mlp.down': [{ 4: `${oldSegformer}.mlp.dense2`, 5: `${newSegformer}.mlp.fc2` }],
    'head.projection': [{ 4: 'decode_head.linear_c.{n}.proj', 5: 'decode_head.linear_projections.{n}.proj' }],
    'head.fuse': ['decode_head.linear_fuse'],
    classifier: ['^classifier', '^decode_head.classifier'],
  },
  renamed: [
    { 4: `${oldSegformer}.attention.self.layer_norm`, 5: `${newSegformer}.attention.sequence_reduction.layer_norm` },
    { 4: `${oldSegformer}.layer_norm_1`, 5: `${newSegformer}.layernorm_before` },
    { 4: `${oldSegformer}.layer_norm_2`, 5: `${newSegformer}.layernorm_after` },
    { 4: 'encoder.patch_embeddings.{n}.layer_norm', 5: 'stages.{n}.patch_embeddings.layer_norm' },
    { 4: 'encoder.layer_norm.{n}', 5: 'stages.{n}.layer_norm' },
  ],
  targetsFrom:
    'queries and values, with the head trained in full: the guide "Semantic segmentation using LoRA" of PEFT\'s documentation, which adapts this model',
  tasks: ['semantic-segmentation', ...backboneTasks],
  preprocessors: ['SegformerImageProcessor'],
});
