/** @file The two-tower families CLIP and SigLIP. */

import type { DescribedFamily, NamePair, RoleNames } from '@onnx-lora/sdk/plugin';
import { visionFamily } from './visionFamily.ts';

const layer = 'encoder.layers.{n}';

const towerModules: RoleNames = {
  'patch-embedding': ['embeddings.patch_embedding'],
  'embedding.position': ['embeddings.position_embedding'],
  'embedding.token': ['embeddings.token_embedding'],
  'attention.query': [`${layer}.self_attn.q_proj`],
  'attention.key': [`${layer}.self_attn.k_proj`],
  'attention.value': [`${layer}.self_attn.v_proj`],
  'attention.output': [`${layer}.self_attn.out_proj`],
  'mlp.up': [`${layer}.mlp.fc1`],
  'mlp.down': [`${layer}.mlp.fc2`],
  classifier: ['^classifier'],
};

/** A tower's names: alone, it has a prefix in transformers 4 but not 5; inside a larger model, always. */
function towerNames(prefix: string, children: readonly string[]): NamePair[] {
  return children.map((child) => ({ 4: `^${prefix}.${child}`, 5: `^${child}` }));
}

/** Queries, keys and values of both towers. */
const cliplora =
  'queries, keys and values of both towers: Zanella and Ben Ayed, "Low-Rank Few-Shot Adaptation of Vision-Language Models" (2024), arXiv:2405.18541';

/** Tasks of two towers, the usual first. */
const towerTasks: readonly string[] = [
  'image-text',
  'image-embedding',
  'image-retrieval',
  'image-classification',
  'multi-label-classification',
  'image-regression',
];

const towerQuery = 'encoder.layers.{n}.self_attn.q_proj';

/** CLIP as transformers writes it: both towers, or one; a single .onnx file is recognised by its projection. */
export const clip: DescribedFamily = visionFamily({
  name: 'clip',
  title: 'CLIP',
  paper:
    'Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021), arXiv:2103.00020',
  modelTypes: ['clip', 'clip_vision_model', 'clip_text_model'],
  signatures: [
    ['^visual_projection', `^vision_model.${towerQuery}`],
    ['^text_projection', `^text_model.${towerQuery}`],
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

const siglipQuery = 'encoder.layers.{n}.self_attn.q_proj';

/** SigLIP and SigLIP 2 as transformers writes them: both towers or one. A single .onnx file is recognised by its head. */
export const siglip: DescribedFamily = visionFamily({
  name: 'siglip',
  title: 'SigLIP and SigLIP 2',
  paper:
    'Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (2023), arXiv:2303.15343; Tschannen et al., "SigLIP 2" (2025), arXiv:2502.14786',
  modelTypes: ['siglip', 'siglip2'].flatMap((name) => [name, `${name}_vision_model`, `${name}_text_model`]),
  signatures: [
    ['^vision_model.head.mlp.fc1'],
    ['^head.mlp.fc1'],
    ['^text_model.head', `^text_model.${siglipQuery}`],
    ['^head', '^embeddings.token_embedding', `^${siglipQuery}`],
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
