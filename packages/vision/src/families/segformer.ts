/** @file The family SegFormer. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

const old = 'encoder.block.{n}.{n}';
const recent = 'stages.{n}.blocks.{n}';

/** SegFormer as transformers writes it, with its head for segmentation or for classification. */
export const segformer: DescribedFamily = visionFamily({
  name: 'segformer',
  title: 'SegFormer',
  paper:
    'Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers" (2021), arXiv:2105.15203',
  modelTypes: ['segformer'],
  signatures: [[`^segformer.${old}`], [`^segformer.${recent}`], [`^${old}.mlp.dwconv`], [`^${recent}.mlp.dwconv`]],
  names: {
    'patch-embedding': [{ 4: 'encoder.patch_embeddings.{n}.proj', 5: 'stages.{n}.patch_embeddings.proj' }],
    'attention.query': [{ 4: `${old}.attention.self.query`, 5: `${recent}.attention.q_proj` }],
    'attention.key': [{ 4: `${old}.attention.self.key`, 5: `${recent}.attention.k_proj` }],
    'attention.value': [{ 4: `${old}.attention.self.value`, 5: `${recent}.attention.v_proj` }],
    'attention.output': [{ 4: `${old}.attention.output.dense`, 5: `${recent}.attention.o_proj` }],
    'attention.reduction': [
      { 4: `${old}.attention.self.sr`, 5: `${recent}.attention.sequence_reduction.sequence_reduction` },
    ],
    'mlp.up': [{ 4: `${old}.mlp.dense1`, 5: `${recent}.mlp.fc1` }],
    'mlp.depthwise': [{ 4: `${old}.mlp.dwconv.dwconv`, 5: `${recent}.mlp.dwconv.dwconv` }],
    'mlp.down': [{ 4: `${old}.mlp.dense2`, 5: `${recent}.mlp.fc2` }],
    'head.projection': [{ 4: 'decode_head.linear_c.{n}.proj', 5: 'decode_head.linear_projections.{n}.proj' }],
    'head.fuse': ['decode_head.linear_fuse'],
    classifier: ['^classifier', '^decode_head.classifier'],
  },
  renamed: [
    { 4: `${old}.attention.self.layer_norm`, 5: `${recent}.attention.sequence_reduction.layer_norm` },
    { 4: `${old}.layer_norm_1`, 5: `${recent}.layernorm_before` },
    { 4: `${old}.layer_norm_2`, 5: `${recent}.layernorm_after` },
    { 4: 'encoder.patch_embeddings.{n}.layer_norm', 5: 'stages.{n}.patch_embeddings.layer_norm' },
    { 4: 'encoder.layer_norm.{n}', 5: 'stages.{n}.layer_norm' },
  ],
  targetsFrom:
    'queries and values, with the head trained in full: the guide "Semantic segmentation using LoRA" of PEFT\'s documentation, which adapts this model',
  tasks: ['semantic-segmentation', ...backboneTasks],
  preprocessors: ['SegformerImageProcessor'],
});
