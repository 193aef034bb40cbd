/** @file Module names of transformers' CLIP, which SigLIP shares: two towers, one for images and one for text. */

import type { NamePair } from '@onnx-lora/sdk';

const layer = String.raw`(?:.*\.)?encoder\.layers\.\d+\.`;

/** Roles of the modules in either tower's encoder. */
export const towerRoles: Readonly<Record<string, readonly RegExp[]>> = {
  'patch-embedding': [/(?:.*\.)?embeddings\.patch_embedding/],
  'embedding.position': [/(?:.*\.)?embeddings\.position_embedding/],
  'embedding.token': [/(?:.*\.)?embeddings\.token_embedding/],
  'attention.query': [new RegExp(String.raw`${layer}self_attn\.q_proj`)],
  'attention.key': [new RegExp(String.raw`${layer}self_attn\.k_proj`)],
  'attention.value': [new RegExp(String.raw`${layer}self_attn\.v_proj`)],
  'attention.output': [new RegExp(String.raw`${layer}self_attn\.out_proj`)],
  'mlp.up': [new RegExp(String.raw`${layer}mlp\.fc1`)],
  'mlp.down': [new RegExp(String.raw`${layer}mlp\.fc2`)],
  classifier: [/classifier/],
};

/**
 * A tower that is a model of its own: transformers 4 has a prefix before each of its modules, transformers 5 has none.
 * Inside a larger model the prefix is there in both.
 */
export function towerNames(prefix: string, children: readonly string[]): NamePair[] {
  return children.map((child) => ({ 4: `^${prefix}.${child}`, 5: `^${child}` }));
}
