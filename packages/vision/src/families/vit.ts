/** @file Families with ViT's encoder: ViT, DeiT, BEiT, ViT-MAE, DINOv2 and DINOv3. */

import type { DescribedFamily, NamePair, RoleNames } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

/**
 * ViT's modules in transformers 4 (`encoder.layer.0.…`) and 5 (`layers.0.…`), and in derived models such as DeiT and
 * BEiT. Any prefix (`vit.`, `deit.`, a wrapper's or none) matches.
 */
const vitModules: RoleNames = {
  'patch-embedding': ['embeddings.patch_embeddings.projection'],
  'attention.query': [{ 4: 'encoder.layer.{n}.attention.attention.query', 5: 'layers.{n}.attention.q_proj' }],
  'attention.key': [{ 4: 'encoder.layer.{n}.attention.attention.key', 5: 'layers.{n}.attention.k_proj' }],
  'attention.value': [{ 4: 'encoder.layer.{n}.attention.attention.value', 5: 'layers.{n}.attention.v_proj' }],
  'attention.output': [{ 4: 'encoder.layer.{n}.attention.output.dense', 5: 'layers.{n}.attention.o_proj' }],
  'mlp.up': [{ 4: 'encoder.layer.{n}.intermediate.dense', 5: 'layers.{n}.mlp.fc1' }],
  'mlp.down': [{ 4: 'encoder.layer.{n}.output.dense', 5: 'layers.{n}.mlp.fc2' }],
  pooler: ['pooler.dense'],
  classifier: ['^classifier'],
};

/** The rest of a layer, such as its norms. */
const vitLayer: NamePair = { 4: 'encoder.layer.{n}', 5: 'layers.{n}' };

/** Signatures of a model that only its `prefix` tells apart, such as `vit`. */
function vitUnder(prefix: string): string[][] {
  return [[`^${prefix}.encoder.layer.{n}`], [`^${prefix}.layers.{n}`]];
}

/** ViT as transformers writes it, with I-JEPA and ViT-MSN, which are the same network. */
export const vit: DescribedFamily = visionFamily({
  name: 'vit',
  title: 'ViT',
  paper:
    'Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale" (2020), arXiv:2010.11929',
  modelTypes: ['vit', 'vit_msn', 'ijepa'],
  signatures: [
    ['^vit.encoder.layer.{n}', '!decoder.decoder_layers.{n}', '!bbox_predictor.layers.{n}'],
    ['^vit.layers.{n}', '!decoder.decoder_layers.{n}'],
  ],
  names: vitModules,
  renamed: [vitLayer],
  targetsFrom:
    'queries and values: Zhu et al., "MeLo: Low-rank Adaptation is Better than Fine-tuning for Medical Image Diagnosis" (2023), arXiv:2311.08236',
  preprocessors: ['ViTImageProcessor'],
});

/** DeiT as transformers writes it: ViT's encoder with a distillation token, and one classifier or two. */
export const deit: DescribedFamily = visionFamily({
  name: 'deit',
  title: 'DeiT',
  paper:
    'Touvron et al., "Training data-efficient image transformers & distillation through attention" (2020), arXiv:2012.12877',
  modelTypes: ['deit'],
  signatures: vitUnder('deit'),
  names: { ...vitModules, classifier: ['^classifier', '^cls_classifier', '^distillation_classifier'] },
  renamed: [vitLayer],
  preprocessors: ['DeiTImageProcessor'],
});

/** Convolutions and norms of the segmentation head. */
const convolutions = [
  ['decode_head.psp_modules.{n}.1', 'decode_head.psp_modules.blocks.{n}.conv'],
  ['decode_head.bottleneck', 'decode_head.psp_bottleneck'],
  ...['decode_head.lateral_convs.{n}', 'decode_head.fpn_convs.{n}', 'decode_head.fpn_bottleneck'].map((name) => [
    name,
    name,
  ]),
  ['auxiliary_head.convs.{n}', 'auxiliary_head.convs.{n}'],
] as const;

/** BEiT as transformers writes it: ViT's encoder with relative positions, also with a head for segmentation. */
export const beit: DescribedFamily = visionFamily({
  name: 'beit',
  title: 'BEiT',
  paper: 'Bao et al., "BEiT: BERT Pre-Training of Image Transformers" (2021), arXiv:2106.08254',
  modelTypes: ['beit', 'data2vec-vision'],
  signatures: vitUnder('beit'),
  names: {
    ...vitModules,
    classifier: ['^classifier', '^decode_head.classifier'],
    'head.pyramid': [
      { 4: '^fpn1.0', 5: '^fpn.fpn1.conv_transpose1' },
      { 4: '^fpn1.3', 5: '^fpn.fpn1.conv_transpose2' },
      { 4: '^fpn2.0', 5: '^fpn.fpn2' },
    ],
    'head.convolution': convolutions.map(([old, recent]) => ({ 4: `${old}.conv`, 5: `${recent}.convolution` })),
    'head.auxiliary': ['^auxiliary_head.classifier'],
  },
  renamed: [
    vitLayer,
    {
      4: 'encoder.layer.{n}.attention.attention.relative_position_bias',
      5: 'layers.{n}.relative_position_bias',
    },
    { 4: '^fpn1.1', 5: '^fpn.fpn1.normalization' },
    ...convolutions.map(([old, recent]): NamePair => ({ 4: `${old}.bn`, 5: `${recent}.normalization` })),
  ],
  tasks: [...backboneTasks, 'semantic-segmentation'],
  preprocessors: ['BeitImageProcessor'],
});

const decoder = 'decoder.decoder_layers.{n}';
const decoderModules: RoleNames = {
  'decoder.query': [{ 4: `${decoder}.attention.attention.query`, 5: `${decoder}.attention.q_proj` }],
  'decoder.key': [{ 4: `${decoder}.attention.attention.key`, 5: `${decoder}.attention.k_proj` }],
  'decoder.value': [{ 4: `${decoder}.attention.attention.value`, 5: `${decoder}.attention.v_proj` }],
  'decoder.output': [{ 4: `${decoder}.attention.output.dense`, 5: `${decoder}.attention.o_proj` }],
  'decoder.mlp': [
    { 4: `${decoder}.intermediate.dense`, 5: `${decoder}.mlp.fc1` },
    { 4: `${decoder}.output.dense`, 5: `${decoder}.mlp.fc2` },
  ],
  'decoder.head': ['decoder.decoder_embed', 'decoder.decoder_pred'],
};

/** ViT-MAE as transformers writes it: ViT's encoder, alone or with the decoder that reconstructs masked patches. */
export const vitMae: DescribedFamily = visionFamily({
  name: 'vit_mae',
  title: 'ViT-MAE',
  paper: 'He et al., "Masked Autoencoders Are Scalable Vision Learners" (2021), arXiv:2111.06377',
  modelTypes: ['vit_mae'],
  signatures: vitUnder('vit').map((list) => [...list, decoder]),
  names: { ...vitModules, ...decoderModules },
  renamed: [vitLayer],
  preprocessors: ['ViTImageProcessor'],
});

const dinov2Layer = 'encoder.layer.{n}';

/**
 * DINOv2 as transformers writes it. Its largest model has a gated MLP (SwiGLU), whose first layer transformers 5 split.
 */
export const dinov2: DescribedFamily = visionFamily({
  name: 'dinov2',
  title: 'DINOv2',
  paper: 'Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2023), arXiv:2304.07193',
  modelTypes: ['dinov2', 'dinov2_with_registers'],
  signatures: [[`^dinov2.${dinov2Layer}`], [`^dinov2_with_registers.${dinov2Layer}`]],
  names: {
    'patch-embedding': ['embeddings.patch_embeddings.projection'],
    'attention.query': [{ 4: `${dinov2Layer}.attention.attention.query`, 5: `${dinov2Layer}.attention.q_proj` }],
    'attention.key': [{ 4: `${dinov2Layer}.attention.attention.key`, 5: `${dinov2Layer}.attention.k_proj` }],
    'attention.value': [{ 4: `${dinov2Layer}.attention.attention.value`, 5: `${dinov2Layer}.attention.v_proj` }],
    'attention.output': [{ 4: `${dinov2Layer}.attention.output.dense`, 5: `${dinov2Layer}.attention.o_proj` }],
    'mlp.up': [`${dinov2Layer}.mlp.fc1`, { 4: `${dinov2Layer}.mlp.weights_in` }, { 5: `${dinov2Layer}.mlp.up_proj` }],
    'mlp.gate': [{ 5: `${dinov2Layer}.mlp.gate_proj` }],
    'mlp.down': [`${dinov2Layer}.mlp.fc2`, { 4: `${dinov2Layer}.mlp.weights_out`, 5: `${dinov2Layer}.mlp.down_proj` }],
    classifier: ['^classifier'],
  },
  targetsFrom:
    'no comparison; LoRA in the attention as in Cui et al., "Surgical-DINO: Adapter Learning of Foundation Models for Depth Estimation in Endoscopic Surgery" (2024), arXiv:2401.06013',
  preprocessors: ['BitImageProcessor'],
});

const inModel = (name: string): NamePair => ({ 4: `^layer.{n}.${name}`, 5: `^model.layer.{n}.${name}` });

/** DINOv3's ViT as transformers writes it, since 4.56; the MLP is gated (SwiGLU) in some sizes. */
export const dinov3Vit: DescribedFamily = visionFamily({
  name: 'dinov3_vit',
  title: 'DINOv3 (ViT)',
  paper: 'Siméoni et al., "DINOv3" (2025), arXiv:2508.10104',
  modelTypes: ['dinov3_vit'],
  signatures: [['^layer.{n}.attention.q_proj'], ['^model.layer.{n}.attention.q_proj']],
  names: {
    'patch-embedding': ['^embeddings.patch_embeddings'],
    'attention.query': [inModel('attention.q_proj')],
    'attention.key': [inModel('attention.k_proj')],
    'attention.value': [inModel('attention.v_proj')],
    'attention.output': [inModel('attention.o_proj')],
    'mlp.up': [inModel('mlp.up_proj')],
    'mlp.gate': [inModel('mlp.gate_proj')],
    'mlp.down': [inModel('mlp.down_proj')],
  },
  renamed: [{ 4: '^layer.{n}', 5: '^model.layer.{n}' }],
  preprocessors: ['DINOv3ViTImageProcessor'],
});
