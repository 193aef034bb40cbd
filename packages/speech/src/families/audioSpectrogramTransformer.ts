/** @file The family AST (Audio Spectrogram Transformer). */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { speechFamily } from './speechFamily.ts';

/** AST as transformers writes it: ViT's encoder on a spectrogram, whose modules transformers 5 renamed as ViT's. */
export const audioSpectrogramTransformer: DescribedFamily = speechFamily({
  name: 'audio-spectrogram-transformer',
  title: 'AST',
  paper: 'Gong et al., "AST: Audio Spectrogram Transformer" (2021), arXiv:2104.01778',
  modelTypes: ['audio-spectrogram-transformer'],
  signatures: ['encoder.layer', 'layers'].map((layers) => [`^audio_spectrogram_transformer.${layers}.{n}`]),
  names: {
    'patch-embedding': ['embeddings.patch_embeddings.projection'],
    'attention.query': [{ 4: 'encoder.layer.{n}.attention.attention.query', 5: 'layers.{n}.attention.q_proj' }],
    'attention.key': [{ 4: 'encoder.layer.{n}.attention.attention.key', 5: 'layers.{n}.attention.k_proj' }],
    'attention.value': [{ 4: 'encoder.layer.{n}.attention.attention.value', 5: 'layers.{n}.attention.v_proj' }],
    'attention.output': [{ 4: 'encoder.layer.{n}.attention.output.dense', 5: 'layers.{n}.attention.o_proj' }],
    'mlp.up': [{ 4: 'encoder.layer.{n}.intermediate.dense', 5: 'layers.{n}.mlp.fc1' }],
    'mlp.down': [{ 4: 'encoder.layer.{n}.output.dense', 5: 'layers.{n}.mlp.fc2' }],
    classifier: ['^classifier.dense'],
  },
  // The rest of a layer, such as its norms.
  renamed: [{ 4: 'encoder.layer.{n}', 5: 'layers.{n}' }],
  targetsFrom:
    'queries and values: Cappellazzo et al., "Parameter-Efficient Transfer Learning of Audio Spectrogram Transformers" (2023), arXiv:2312.03694, which compares LoRA there',
  tasks: ['audio-classification', 'audio-embedding'],
  preprocessors: ['ASTFeatureExtractor'],
});
