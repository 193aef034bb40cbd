/** @file The family DINOv2. */

import type { ModelFamily } from '@onnx-lora/sdk';
import { encoderUnder, queryAndValue } from './vitModules.ts';

const layer = String.raw`(?:.*\.)?encoder\.layer\.\d+\.`;

/**
 * DINOv2 as transformers writes it, versions 4 and 5, with registers or without. Its largest model has a gated MLP
 * (SwiGLU), whose first layer transformers 5 split in two.
 *
 * @see Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2023), arXiv:2304.07193
 */
export const dinov2: ModelFamily = {
  name: 'dinov2',
  domain: 'vision',
  recognise: ({ config, modulePaths }) =>
    config?.['model_type'] === undefined
      ? ['dinov2', 'dinov2_with_registers'].some((prefix) => encoderUnder(prefix, modulePaths))
      : config['model_type'] === 'dinov2' || config['model_type'] === 'dinov2_with_registers',
  roles: {
    'patch-embedding': [/(?:.*\.)?embeddings\.patch_embeddings\.projection/],
    'attention.query': [new RegExp(String.raw`${layer}attention\.(?:attention\.query|q_proj)`)],
    'attention.key': [new RegExp(String.raw`${layer}attention\.(?:attention\.key|k_proj)`)],
    'attention.value': [new RegExp(String.raw`${layer}attention\.(?:attention\.value|v_proj)`)],
    'attention.output': [new RegExp(String.raw`${layer}attention\.(?:output\.dense|o_proj)`)],
    'mlp.up': [new RegExp(String.raw`${layer}mlp\.(?:fc1|weights_in|up_proj)`)],
    'mlp.gate': [new RegExp(String.raw`${layer}mlp\.gate_proj`)],
    'mlp.down': [new RegExp(String.raw`${layer}mlp\.(?:fc2|weights_out|down_proj)`)],
    classifier: [/classifier/],
  },
  defaultTargets: queryAndValue,
  generations: [
    {
      pairs: [
        { 4: 'layer.{n}.attention.attention.query', 5: 'layer.{n}.attention.q_proj' },
        { 4: 'layer.{n}.attention.attention.key', 5: 'layer.{n}.attention.k_proj' },
        { 4: 'layer.{n}.attention.attention.value', 5: 'layer.{n}.attention.v_proj' },
        { 4: 'layer.{n}.attention.output.dense', 5: 'layer.{n}.attention.o_proj' },
        { 4: 'layer.{n}.mlp.weights_out', 5: 'layer.{n}.mlp.down_proj' },
        { 4: 'layer.{n}.mlp.weights_in' },
        { 5: 'layer.{n}.mlp.gate_proj' },
        { 5: 'layer.{n}.mlp.up_proj' },
      ],
    },
  ],
  tasks: ['image-classification'],
};
