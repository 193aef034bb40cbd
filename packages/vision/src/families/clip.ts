/** @file The family CLIP. */

import type { ModelFamily } from '@onnx-lora/sdk';
import { towerNames, towerRoles } from './twoTowers.ts';
import { queryAndValue } from './vitModules.ts';

const types: ReadonlySet<unknown> = new Set(['clip', 'clip_vision_model', 'clip_text_model']);

/**
 * CLIP as transformers writes it: both towers, or one of them with its projection or without. A lone .onnx file is
 * recognised by a projection.
 *
 * @see Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021), arXiv:2103.00020
 */
export const clip: ModelFamily = {
  name: 'clip',
  domain: 'vision',
  recognise: ({ config, modulePaths }) =>
    config?.['model_type'] === undefined
      ? modulePaths.some((path) => /^(?:visual|text)_projection$/.test(path)) &&
        modulePaths.some((path) => /^(?:vision|text)_model\.encoder\.layers\.\d+\.self_attn\.q_proj$/.test(path))
      : types.has(config['model_type']),
  roles: { ...towerRoles, projection: [/visual_projection/, /text_projection/] },
  defaultTargets: queryAndValue,
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
  tasks: ['image-classification'],
};
