/** @file The family DINOv2. */

import { type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

const layer = 'encoder.layer.{n}';

/**
 * DINOv2 as transformers writes it, with registers or without. Its largest model has a gated MLP (SwiGLU), whose first
 * layer transformers 5 split in two.
 */
export const dinov2: DescribedFamily = visionFamily({
  name: 'dinov2',
  title: 'DINOv2',
  paper: 'Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2023), arXiv:2304.07193',
  modelTypes: ['dinov2', 'dinov2_with_registers'],
  signatures: [[`^dinov2.${layer}`], [`^dinov2_with_registers.${layer}`]],
  names: {
    'patch-embedding': ['embeddings.patch_embeddings.projection'],
    'attention.query': [{ 4: `${layer}.attention.attention.query`, 5: `${layer}.attention.q_proj` }],
    'attention.key': [{ 4: `${layer}.attention.attention.key`, 5: `${layer}.attention.k_proj` }],
    'attention.value': [{ 4: `${layer}.attention.attention.value`, 5: `${layer}.attention.v_proj` }],
    'attention.output': [{ 4: `${layer}.attention.output.dense`, 5: `${layer}.attention.o_proj` }],
    'mlp.up': [`${layer}.mlp.fc1`, { 4: `${layer}.mlp.weights_in` }, { 5: `${layer}.mlp.up_proj` }],
    'mlp.gate': [{ 5: `${layer}.mlp.gate_proj` }],
    'mlp.down': [`${layer}.mlp.fc2`, { 4: `${layer}.mlp.weights_out`, 5: `${layer}.mlp.down_proj` }],
    classifier: ['^classifier'],
  },
  defaultTargets: queriesAndValues,
  targetsFrom:
    'no comparison; LoRA in the attention as in Cui et al., "Surgical-DINO: Adapter Learning of Foundation Models for Depth Estimation in Endoscopic Surgery" (2024), arXiv:2401.06013',
  tasks: backboneTasks,
  preprocessors: ['BitImageProcessor'],
});
