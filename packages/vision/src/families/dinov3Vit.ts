/** @file The family of DINOv3's vision transformers. */

import { asInLora, type DescribedFamily, type NamePair, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

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
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: backboneTasks,
  preprocessors: ['DINOv3ViTImageProcessor'],
});
