/** @file The family SAM 2, whose image encoder is Hiera. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { samDecoder, samFiles, samTargets } from './samDecoder.ts';
import { visionFamily } from './visionFamily.ts';

/**
 * SAM 2 for images as transformers writes it, and as the original does (`image_encoder.trunk`). transformers 4.56 and
 * later, and 5, use the same names.
 */
export const sam2: DescribedFamily = visionFamily({
  name: 'sam2',
  title: 'SAM 2 (Hiera)',
  paper: 'Ravi et al., "SAM 2: Segment Anything in Images and Videos" (2024), arXiv:2408.00714',
  modelTypes: ['sam2', 'sam2_vision_model', 'sam2_hiera_det_model'],
  signatures: [
    ['backbone.blocks.{n}.attn.qkv', 'backbone.blocks.{n}.mlp.proj_in'],
    ['^blocks.{n}.attn.qkv', '^blocks.{n}.mlp.proj_in'],
    ['trunk.blocks.{n}.attn.qkv', 'trunk.blocks.{n}.mlp.layers.0'],
  ],
  names: {
    'patch-embedding': ['patch_embed.projection', 'patch_embed.proj'],
    'attention.query-key-value': ['blocks.{n}.attn.qkv'],
    'attention.output': ['blocks.{n}.attn.proj'],
    'mlp.up': ['blocks.{n}.mlp.proj_in', 'blocks.{n}.mlp.layers.0'],
    'mlp.down': ['blocks.{n}.mlp.proj_out', 'blocks.{n}.mlp.layers.1'],
    downsample: ['blocks.{n}.proj'],
    neck: ['neck.convs.{n}', 'neck.convs.{n}.conv'],
    ...samDecoder,
  },
  defaultTargets: samTargets,
  targetsFrom:
    'no study of this family; the attention of the encoder, and queries and values of the decoder, as for SAM',
  // Its decoder takes features of three sizes, which the task for SAM does not feed.
  tasks: ['image-embedding'],
  preprocessors: ['Sam2ImageProcessor'],
  files: samFiles,
});
