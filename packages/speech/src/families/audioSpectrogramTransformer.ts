/** @file The family AST (Audio Spectrogram Transformer). */

import { type ModelFamily, pairsFrom, recogniser, type RoleNames, rolesFrom } from '@onnx-lora/sdk';

const names: RoleNames = {
  'patch-embedding': ['embeddings.patch_embeddings.projection'],
  'attention.query': [{ 4: 'encoder.layer.{n}.attention.attention.query', 5: 'layers.{n}.attention.q_proj' }],
  'attention.key': [{ 4: 'encoder.layer.{n}.attention.attention.key', 5: 'layers.{n}.attention.k_proj' }],
  'attention.value': [{ 4: 'encoder.layer.{n}.attention.attention.value', 5: 'layers.{n}.attention.v_proj' }],
  'attention.output': [{ 4: 'encoder.layer.{n}.attention.output.dense', 5: 'layers.{n}.attention.o_proj' }],
  'mlp.up': [{ 4: 'encoder.layer.{n}.intermediate.dense', 5: 'layers.{n}.mlp.fc1' }],
  'mlp.down': [{ 4: 'encoder.layer.{n}.output.dense', 5: 'layers.{n}.mlp.fc2' }],
  classifier: ['^classifier.dense'],
};

/**
 * AST as transformers writes it: ViT's encoder on a spectrogram, whose modules transformers 5 renamed as ViT's.
 *
 * @see Gong et al., "AST: Audio Spectrogram Transformer" (2021), arXiv:2104.01778
 */
export const audioSpectrogramTransformer: ModelFamily = {
  name: 'audio-spectrogram-transformer',
  domain: 'speech',
  recognise: recogniser({
    modelTypes: ['audio-spectrogram-transformer'],
    marks: ['encoder.layer', 'layers'].map((layers) => [`^audio_spectrogram_transformer.${layers}.{n}`]),
  }),
  roles: rolesFrom(names),
  defaultTargets: ['attention.query', 'attention.value'],
  // The last is the rest of a layer, such as its norms.
  generations: [{ pairs: [...pairsFrom(names), { 4: 'encoder.layer.{n}', 5: 'layers.{n}' }] }],
  tasks: ['audio-classification'],
};
