/** @file Module names of transformers' ViT encoder, which several families share. */

import type { NameTable } from '@onnx-lora/sdk';

/**
 * ViT's encoder as transformers 4 and 5 call it; the same in all models that were written after it: DeiT, BEiT, ViT-MAE,
 * ViT-MSN, ViViT, I-JEPA, and the Audio Spectrogram Transformer.
 */
export const vitNames: NameTable = {
  pairs: [
    { 4: 'encoder.layer.{n}.attention.attention.query', 5: 'layers.{n}.attention.q_proj' },
    { 4: 'encoder.layer.{n}.attention.attention.key', 5: 'layers.{n}.attention.k_proj' },
    { 4: 'encoder.layer.{n}.attention.attention.value', 5: 'layers.{n}.attention.v_proj' },
    { 4: 'encoder.layer.{n}.attention.output.dense', 5: 'layers.{n}.attention.o_proj' },
    { 4: 'encoder.layer.{n}.intermediate.dense', 5: 'layers.{n}.mlp.fc1' },
    { 4: 'encoder.layer.{n}.output.dense', 5: 'layers.{n}.mlp.fc2' },
    // The rest of a layer, such as its norms.
    { 4: 'encoder.layer.{n}', 5: 'layers.{n}' },
  ],
};

/**
 * Roles of a ViT encoder's modules, for both generations of names: transformers 4 (`encoder.layer.0.…`) and
 * transformers 5 (`layers.0.…`). The prefix (`vit.`, `deit.`, a wrapper's or none) is free.
 */
export const vitRoles: Readonly<Record<string, readonly RegExp[]>> = {
  'patch-embedding': [/(.*\.)?embeddings\.patch_embeddings\.projection/],
  'attention.query': [
    /(.*\.)?encoder\.layer\.\d+\.attention\.attention\.query/,
    /(.*\.)?layers\.\d+\.attention\.q_proj/,
  ],
  'attention.key': [/(.*\.)?encoder\.layer\.\d+\.attention\.attention\.key/, /(.*\.)?layers\.\d+\.attention\.k_proj/],
  'attention.value': [
    /(.*\.)?encoder\.layer\.\d+\.attention\.attention\.value/,
    /(.*\.)?layers\.\d+\.attention\.v_proj/,
  ],
  'attention.output': [/(.*\.)?encoder\.layer\.\d+\.attention\.output\.dense/, /(.*\.)?layers\.\d+\.attention\.o_proj/],
  'mlp.up': [/(.*\.)?encoder\.layer\.\d+\.intermediate\.dense/, /(.*\.)?layers\.\d+\.mlp\.fc1/],
  'mlp.down': [/(.*\.)?encoder\.layer\.\d+\.output\.dense/, /(.*\.)?layers\.\d+\.mlp\.fc2/],
  pooler: [/(.*\.)?pooler\.dense/],
  classifier: [/classifier/],
};

/** Queries and values, as Hu et al. chose: "LoRA" (2021), section 5 and table 5, arXiv:2106.09685. */
export const queryAndValue: readonly string[] = ['attention.query', 'attention.value'];

/**
 * Whether a path lies in an encoder that transformers calls `prefix`, such as `vit`: for models without `config.json`,
 * whose class shows in nothing but the prefix.
 */
export function encoderUnder(prefix: string, modulePaths: readonly string[]): boolean {
  return modulePaths.some((path) => {
    const parts = path.split('.');
    return parts[0] === prefix && ((parts[1] === 'encoder' && parts[2] === 'layer') || parts[1] === 'layers');
  });
}
