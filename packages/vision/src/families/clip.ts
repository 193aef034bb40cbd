/** @file The family CLIP. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { cliplora, towerModules, towerNames, towerTasks } from './twoTowers.ts';
import { visionFamily } from './visionFamily.ts';

const layer = 'encoder.layers.{n}.self_attn.q_proj';

/**
 * CLIP as transformers writes it: both towers, or one of them with its projection or without. A lone .onnx file is
 * recognised by a projection.
 */
export const clip: DescribedFamily = visionFamily({
  name: 'clip',
  title: 'CLIP',
  paper:
    'Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021), arXiv:2103.00020',
  modelTypes: ['clip', 'clip_vision_model', 'clip_text_model'],
  signatures: [
    ['^visual_projection', `^vision_model.${layer}`],
    ['^text_projection', `^text_model.${layer}`],
  ],
  names: { ...towerModules, projection: ['^visual_projection', '^text_projection'] },
  defaultTargets: ['attention.query', 'attention.key', 'attention.value'],
  targetsFrom: cliplora,
  generations: [
    {
      architectures: ['CLIPVisionModel'],
      pairs: towerNames('vision_model', ['embeddings', 'pre_layrnorm', 'encoder', 'post_layernorm']),
    },
    {
      architectures: ['CLIPTextModel'],
      pairs: towerNames('text_model', ['embeddings', 'encoder', 'final_layer_norm']),
    },
  ],
  tasks: towerTasks,
  preprocessors: ['CLIPImageProcessor'],
  files: {
    parts: [{ name: 'vision_model' }, { name: 'text_model', standsAlone: true }],
    outputs: ['image_embeds', 'text_embeds'],
  },
});
