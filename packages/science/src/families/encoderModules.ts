/** @file Module names of transformers' BERT encoder, which ESM shares. */

import type { RoleNames } from '@onnx-lora/sdk';

const layer = 'encoder.layer.{n}';

/** The modules of the encoder and its embeddings; transformers 4 and 5 use the same names. */
export const encoderModules: RoleNames = {
  'attention.query': [`${layer}.attention.self.query`],
  'attention.key': [`${layer}.attention.self.key`],
  'attention.value': [`${layer}.attention.self.value`],
  'attention.output': [`${layer}.attention.output.dense`],
  'mlp.in': [`${layer}.intermediate.dense`],
  'mlp.out': [`${layer}.output.dense`],
  'embedding.token': ['embeddings.word_embeddings'],
  'embedding.position': ['embeddings.position_embeddings'],
};
