/** @file The family Swin. */

import type { ModelFamily } from '@onnx-lora/sdk';
import { queryAndValue } from './vitModules.ts';

const block = String.raw`(?:.*\.)?encoder\.layers\.\d+\.blocks\.\d+\.`;

/**
 * The Swin Transformer as transformers writes it, versions 4 and 5. Swin v2 is not among it: its names are the same in
 * both.
 *
 * @see Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (2021), arXiv:2103.14030
 */
export const swin: ModelFamily = {
  name: 'swin',
  domain: 'vision',
  recognise: ({ config, modulePaths }) =>
    config?.['model_type'] === undefined
      ? modulePaths.some((path) => /^swin\.encoder\.layers\.\d+\.blocks\.\d+\./.test(path))
      : config['model_type'] === 'swin',
  roles: {
    'patch-embedding': [/(?:.*\.)?embeddings\.patch_embeddings\.projection/],
    'attention.query': [new RegExp(String.raw`${block}attention\.(?:self\.query|q_proj)`)],
    'attention.key': [new RegExp(String.raw`${block}attention\.(?:self\.key|k_proj)`)],
    'attention.value': [new RegExp(String.raw`${block}attention\.(?:self\.value|v_proj)`)],
    'attention.output': [new RegExp(String.raw`${block}attention\.(?:output\.dense|o_proj)`)],
    'mlp.up': [new RegExp(String.raw`${block}(?:intermediate\.dense|mlp\.fc1)`)],
    'mlp.down': [new RegExp(String.raw`${block}(?:output\.dense|mlp\.fc2)`)],
    downsample: [/(?:.*\.)?encoder\.layers\.\d+\.downsample\.reduction/],
    classifier: [/classifier/],
  },
  defaultTargets: queryAndValue,
  generations: [
    {
      pairs: [
        { 4: 'blocks.{n}.attention.self.query', 5: 'blocks.{n}.attention.q_proj' },
        { 4: 'blocks.{n}.attention.self.key', 5: 'blocks.{n}.attention.k_proj' },
        { 4: 'blocks.{n}.attention.self.value', 5: 'blocks.{n}.attention.v_proj' },
        // What is left there is the table of relative position biases.
        { 4: 'blocks.{n}.attention.self', 5: 'blocks.{n}.attention.relative_position_bias' },
        { 4: 'blocks.{n}.attention.output.dense', 5: 'blocks.{n}.attention.o_proj' },
        { 4: 'blocks.{n}.intermediate.dense', 5: 'blocks.{n}.mlp.fc1' },
        { 4: 'blocks.{n}.output.dense', 5: 'blocks.{n}.mlp.fc2' },
      ],
    },
  ],
  tasks: ['image-classification'],
};
