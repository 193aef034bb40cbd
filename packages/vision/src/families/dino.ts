/** @file The families DINOv2 and DINOv3. */

import type { DescribedFamily, NamePair } from '@onnx-lora/sdk/plugin';
import { visionFamily } from './visionFamily.ts';

const dinov2Layer = 'encoder.layer.{n}';

/**
 * DINOv2 as transformers writes it, with registers or without. Its largest model has a gated MLP (SwiGLU), whose first
 * layer transformers 5 split in two.
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

/** transformers 5 put a module around the layers. */
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
