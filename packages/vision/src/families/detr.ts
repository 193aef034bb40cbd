/** @file The family DETR. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { visionFamily } from './visionFamily.ts';

const attention = ['encoder.layers.{n}.self_attn', 'decoder.layers.{n}.self_attn', 'decoder.layers.{n}.encoder_attn'];
const layers = ['encoder.layers.{n}', 'decoder.layers.{n}'];
/** The mask head's convolutions and norms, which became stages in transformers 5. */
const maskLayers = ['conv1', 'conv2', 'fpn_stages.0.refine', 'fpn_stages.1.refine', 'fpn_stages.2.refine'];

/** DETR as transformers writes it, with transformers' ResNet or timm's, and heads for boxes or masks. */
export const detr: DescribedFamily = visionFamily({
  name: 'detr',
  title: 'DETR',
  paper: 'Carion et al., "End-to-End Object Detection with Transformers" (2020), arXiv:2005.12872',
  modelTypes: ['detr'],
  signatures: [['decoder.layers.{n}.encoder_attn.q_proj', 'input_projection']],
  names: {
    'attention.query': attention.map((name) => `${name}.q_proj`),
    'attention.key': attention.map((name) => `${name}.k_proj`),
    'attention.value': attention.map((name) => `${name}.v_proj`),
    'attention.output': attention.map((name) => ({ 4: `${name}.out_proj`, 5: `${name}.o_proj` })),
    'mlp.up': layers.map((name) => ({ 4: `${name}.fc1`, 5: `${name}.mlp.fc1` })),
    'mlp.down': layers.map((name) => ({ 4: `${name}.fc2`, 5: `${name}.mlp.fc2` })),
    backbone: [/(?:.*\.)?backbone\.(?:conv_encoder\.)?model\..*/],
    'input-projection': ['input_projection'],
    'embedding.query': ['query_position_embeddings'],
    classifier: ['class_labels_classifier'],
    boxes: ['bbox_predictor.layers.{n}'],
    'mask.attention': [
      { 4: '^bbox_attention.q_linear', 5: '^bbox_attention.q_proj' },
      { 4: '^bbox_attention.k_linear', 5: '^bbox_attention.k_proj' },
    ],
    'mask.convolution': [
      ...maskLayers.map((recent, i) => ({ 4: `^mask_head.lay${i + 1}`, 5: `^mask_head.${recent}.conv` })),
      ...[0, 1, 2].map((i) => ({ 4: `^mask_head.adapter${i + 1}`, 5: `^mask_head.fpn_stages.${i}.fpn_adapter` })),
      { 4: '^mask_head.out_lay', 5: '^mask_head.output_conv' },
    ],
  },
  renamed: [
    { 4: 'backbone.conv_encoder.model', 5: 'backbone.model' },
    ...maskLayers.map((recent, i) => ({ 4: `^mask_head.gn${i + 1}`, 5: `^mask_head.${recent}.norm` })),
  ],
  tasks: ['object-detection', 'instance-segmentation'],
  preprocessors: ['DetrImageProcessor'],
});
