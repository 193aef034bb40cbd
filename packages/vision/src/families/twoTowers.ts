/** @file Module names of transformers' CLIP, which SigLIP shares: two towers, one for images and one for text. */

import type { NamePair, RoleNames } from '@onnx-lora/sdk/plugin';

const layer = 'encoder.layers.{n}';

/** The modules of either tower. */
export const towerModules: RoleNames = {
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

/**
 * A tower that is a model of its own: transformers 4 has a prefix before each of its modules, transformers 5 has none.
 * Inside a larger model the prefix is there in both.
 */
export function towerNames(prefix: string, children: readonly string[]): NamePair[] {
  return children.map((child) => ({ 4: `^${prefix}.${child}`, 5: `^${child}` }));
}

/** Queries, keys and values of both towers. */
export const cliplora =
  'queries, keys and values of both towers: Zanella and Ben Ayed, "Low-Rank Few-Shot Adaptation of Vision-Language Models" (2024), arXiv:2405.18541';

/** What two towers can be trained for, the usual first. */
export const towerTasks: readonly string[] = [
  'image-text',
  'image-embedding',
  'image-retrieval',
  'image-classification',
  'multi-label-classification',
  'image-regression',
];
