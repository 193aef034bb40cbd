/** @file Module names of transformers' BERT encoder, which several families share. */

import type { RoleNames } from '@onnx-lora/sdk/plugin';

const layer = 'encoder.layer.{n}';

/** What comes after the attention of each layer. */
const feedForward: RoleNames = {
  'attention.output': [`${layer}.attention.output.dense`],
  'mlp.up': [`${layer}.intermediate.dense`],
  'mlp.down': [`${layer}.output.dense`],
};

/** Embeddings of tokens, positions, and the sequences of a pair. */
export const embeddingModules: RoleNames = {
  'embedding.token': ['embeddings.word_embeddings'],
  'embedding.position': ['embeddings.position_embeddings'],
  'embedding.type': ['embeddings.token_type_embeddings'],
};

/** The modules of the encoder and its embeddings; transformers 4 and 5 use the same names. */
export const encoderModules: RoleNames = {
  'attention.query': [`${layer}.attention.self.query`],
  'attention.key': [`${layer}.attention.self.key`],
  'attention.value': [`${layer}.attention.self.value`],
  ...feedForward,
  ...embeddingModules,
};

/** The encoder of DeBERTa, whose attention has other names. */
export const debertaModules: RoleNames = {
  'attention.query': [`${layer}.attention.self.query_proj`],
  'attention.key': [`${layer}.attention.self.key_proj`],
  'attention.value': [`${layer}.attention.self.value_proj`],
  'attention.query-key-value': [`${layer}.attention.self.in_proj`],
  'attention.position': [/(?:.*\.)?encoder\.layer\.\d+\.attention\.self\.pos_\w*proj/, 'encoder.rel_embeddings'],
  ...feedForward,
  ...embeddingModules,
};

/** Classifiers of transformers, of sequences and of tokens. */
export const classifierNames: readonly string[] = ['^classifier', '^classifier.dense', '^classifier.out_proj'];
