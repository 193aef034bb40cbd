/** @file The family AST (Audio Spectrogram Transformer). */

import type { ModelFamily } from '@onnx-lora/sdk';

const old = String.raw`(?:.*\.)?encoder\.layer\.\d+\.`;
const recent = String.raw`(?:.*\.)?layers\.\d+\.`;

/**
 * AST as transformers writes it: ViT's encoder on a spectrogram, whose modules transformers 5 renamed as ViT's.
 *
 * @see Gong et al., "AST: Audio Spectrogram Transformer" (2021), arXiv:2104.01778
 */
export const audioSpectrogramTransformer: ModelFamily = {
  name: 'audio-spectrogram-transformer',
  domain: 'speech',
  recognise: ({ config, modulePaths }) =>
    config?.['model_type'] === undefined
      ? modulePaths.some((path) => /^audio_spectrogram_transformer\.(?:encoder\.layer|layers)\.\d+\./.test(path))
      : config['model_type'] === 'audio-spectrogram-transformer',
  roles: {
    'patch-embedding': [/(?:.*\.)?embeddings\.patch_embeddings\.projection/],
    'attention.query': [
      new RegExp(String.raw`${old}attention\.attention\.query`),
      new RegExp(String.raw`${recent}attention\.q_proj`),
    ],
    'attention.key': [
      new RegExp(String.raw`${old}attention\.attention\.key`),
      new RegExp(String.raw`${recent}attention\.k_proj`),
    ],
    'attention.value': [
      new RegExp(String.raw`${old}attention\.attention\.value`),
      new RegExp(String.raw`${recent}attention\.v_proj`),
    ],
    'attention.output': [
      new RegExp(String.raw`${old}attention\.output\.dense`),
      new RegExp(String.raw`${recent}attention\.o_proj`),
    ],
    'mlp.up': [new RegExp(String.raw`${old}intermediate\.dense`), new RegExp(String.raw`${recent}mlp\.fc1`)],
    'mlp.down': [new RegExp(String.raw`${old}output\.dense`), new RegExp(String.raw`${recent}mlp\.fc2`)],
    classifier: [/classifier\.dense/],
  },
  defaultTargets: ['attention.query', 'attention.value'],
  generations: [
    {
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
    },
  ],
  tasks: ['audio-classification'],
};
