/** @file Module names of transformers' ViT encoder, which several families share. */

import type { NamePair, RoleNames } from '@onnx-lora/sdk/plugin';

/**
 * ViT as transformers 4 (`encoder.layer.0.…`) and 5 (`layers.0.…`) name it; the same in models that were written after
 * it, such as DeiT and BEiT. The prefix (`vit.`, `deit.`, a wrapper's or none) is free.
 */
export const vitModules: RoleNames = {
  'patch-embedding': ['embeddings.patch_embeddings.projection'],
  'attention.query': [{ 4: 'encoder.layer.{n}.attention.attention.query', 5: 'layers.{n}.attention.q_proj' }],
  'attention.key': [{ 4: 'encoder.layer.{n}.attention.attention.key', 5: 'layers.{n}.attention.k_proj' }],
  'attention.value': [{ 4: 'encoder.layer.{n}.attention.attention.value', 5: 'layers.{n}.attention.v_proj' }],
  'attention.output': [{ 4: 'encoder.layer.{n}.attention.output.dense', 5: 'layers.{n}.attention.o_proj' }],
  'mlp.up': [{ 4: 'encoder.layer.{n}.intermediate.dense', 5: 'layers.{n}.mlp.fc1' }],
  'mlp.down': [{ 4: 'encoder.layer.{n}.output.dense', 5: 'layers.{n}.mlp.fc2' }],
  pooler: ['pooler.dense'],
  classifier: ['^classifier'],
};

/** The rest of a layer, such as its norms. */
export const vitLayer: NamePair = { 4: 'encoder.layer.{n}', 5: 'layers.{n}' };

/** How a model is known that transformers keeps under `prefix`, such as `vit`: its class shows in nothing else. */
export function vitUnder(prefix: string): string[][] {
  return [[`^${prefix}.encoder.layer.{n}`], [`^${prefix}.layers.{n}`]];
}
