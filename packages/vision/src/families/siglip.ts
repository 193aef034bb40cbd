/** @file The family SigLIP. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { cliplora, towerModules, towerNames, towerTasks } from './twoTowers.ts';
import { visionFamily } from './visionFamily.ts';

const layer = 'encoder.layers.{n}.self_attn.q_proj';

/**
 * SigLIP and SigLIP 2 as transformers writes them: both towers, or one of them. A lone .onnx file is recognised by a
 * tower's head.
 */
export const siglip: DescribedFamily = visionFamily({
  name: 'siglip',
  title: 'SigLIP and SigLIP 2',
  paper:
    'Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (2023), arXiv:2303.15343; Tschannen et al., "SigLIP 2" (2025), arXiv:2502.14786',
  modelTypes: ['siglip', 'siglip2'].flatMap((name) => [name, `${name}_vision_model`, `${name}_text_model`]),
  signatures: [
    ['^vision_model.head.mlp.fc1'],
    ['^head.mlp.fc1'],
    ['^text_model.head', `^text_model.${layer}`],
    ['^head', '^embeddings.token_embedding', `^${layer}`],
  ],
  names: {
    ...towerModules,
    'head.attention': ['head.attention', 'head.attention.out_proj'],
    'head.mlp': ['head.mlp.fc{n}'],
    head: ['^text_model.head', '^head'],
  },
  defaultTargets: ['attention.query', 'attention.key', 'attention.value'],
  targetsFrom: `no study of this family; as CLIP: ${cliplora}`,
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
  tasks: towerTasks,
  preprocessors: ['SiglipImageProcessor', 'Siglip2ImageProcessor'],
});
