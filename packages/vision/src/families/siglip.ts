/** @file The family SigLIP. */

import type { ModelFamily } from '@onnx-lora/sdk';
import { towerNames, towerRoles } from './twoTowers.ts';
import { queryAndValue } from './vitModules.ts';

const types: ReadonlySet<unknown> = new Set(
  ['siglip', 'siglip2'].flatMap((name) => [name, `${name}_vision_model`, `${name}_text_model`]),
);

/**
 * SigLIP and SigLIP 2 as transformers writes them: both towers, or one of them. A lone .onnx file is recognised by the
 * head that pools the image's patches.
 *
 * @see Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (2023), arXiv:2303.15343
 */
export const siglip: ModelFamily = {
  name: 'siglip',
  domain: 'vision',
  recognise: ({ config, modulePaths }) =>
    config?.['model_type'] === undefined
      ? modulePaths.some((path) => /^(?:vision_model\.)?head\.mlp\.fc1$/.test(path))
      : types.has(config['model_type']),
  roles: {
    ...towerRoles,
    'head.attention': [/(?:vision_model\.)?head\.attention(?:\.out_proj)?/],
    'head.mlp': [/(?:vision_model\.)?head\.mlp\.fc[12]/],
    head: [/(?:text_model\.)?head/],
  },
  defaultTargets: queryAndValue,
  generations: [
    {
      architectures: ['SiglipVisionModel', 'Siglip2VisionModel'],
      pairs: towerNames('vision_model', ['embeddings', 'encoder', 'post_layernorm', 'head']),
    },
    {
      architectures: ['SiglipTextModel', 'Siglip2TextModel'],
      pairs: towerNames('text_model', ['embeddings', 'encoder', 'final_layer_norm', 'head']),
    },
  ],
  tasks: ['image-classification'],
};
