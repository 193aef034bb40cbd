/** @file The family of timm's vision transformers whose queries, keys and values have no layer of their own. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

const block = 'blocks.{n}';

/**
 * BEiT as timm writes it. Its attention multiplies with the weight of `qkv` past that layer, so that PEFT's adapters there
 * have no effect, and a graph does not have it.
 */
export const timmBeit: DescribedFamily = visionFamily({
  name: 'timm-beit',
  title: 'BEiT of timm',
  paper: 'Bao et al., "BEiT: BERT Pre-Training of Image Transformers" (2021), arXiv:2106.08254',
  modelTypes: [],
  signatures: ['^', '^timm_model.'].map((prefix) => [
    `${prefix}${block}.attn.proj`,
    `!${block}.attn.qkv`,
    `!${block}.attn.q_proj`,
    '!neck',
  ]),
  names: {
    'patch-embedding': ['patch_embed.proj'],
    'attention.output': [`${block}.attn.proj`],
    'mlp.up': [`${block}.mlp.fc1`],
    'mlp.down': [`${block}.mlp.fc2`],
    classifier: ['head'],
  },
  defaultTargets: ['attention.output', 'mlp.up'],
  targetsFrom: 'no study of this naming; what PEFT can adapt near the queries and values: the layers before and after',
  tasks: backboneTasks,
  preprocessors: ['TimmWrapperImageProcessor'],
});
