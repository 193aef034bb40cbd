/** @file The family SAM (Segment Anything). */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { samDecoder, samed, samFiles, samTargets } from './samDecoder.ts';
import { visionFamily } from './visionFamily.ts';

const decoderAttention = 'transformer.final_attn_token_to_image.q_proj';
/** Encoders that are another family's. */
const others = [
  '!image_encoder.layers',
  '!image_encoder.blocks.{n}.mlp.fc1',
  '!mask_decoder.conv_s0',
  '!conv_s0',
  '!sam_mask_decoder',
];

/**
 * SAM (base, large, huge) as transformers and segment_anything write it: the whole model, or the vision encoder and the
 * mask decoder in files of their own. transformers 4 and 5 use the same names.
 */
export const sam: DescribedFamily = visionFamily({
  name: 'sam',
  title: 'SAM',
  paper: 'Kirillov et al., "Segment Anything" (2023), arXiv:2304.02643',
  modelTypes: ['sam', 'sam_vision_model'],
  signatures: [
    ['^vision_encoder.layers.{n}.attn.qkv'],
    ['^layers.{n}.attn.qkv', '^layers.{n}.mlp.lin1', '^neck.conv1'],
    ['blocks.{n}.attn.qkv', 'blocks.{n}.mlp.lin1'],
    [`^mask_decoder.${decoderAttention}`, ...others],
    [`^${decoderAttention}`, ...others],
  ],
  names: {
    'patch-embedding': ['patch_embed.projection', 'patch_embed.proj'],
    'attention.query-key-value': ['layers.{n}.attn.qkv', 'blocks.{n}.attn.qkv'],
    'attention.output': ['layers.{n}.attn.proj', 'blocks.{n}.attn.proj'],
    // The decoder has layers with the same names, inside its transformer.
    'mlp.up': [/(?:(?:.*\.)?(?:vision|image)_encoder\.)?(?:layers|blocks)\.\d+\.mlp\.lin1/],
    'mlp.down': [/(?:(?:.*\.)?(?:vision|image)_encoder\.)?(?:layers|blocks)\.\d+\.mlp\.lin2/],
    neck: ['neck.conv{n}', 'neck.{n}'],
    ...samDecoder,
  },
  defaultTargets: samTargets,
  targetsFrom: samed,
  tasks: ['promptable-segmentation'],
  preprocessors: ['SamImageProcessor'],
  files: samFiles,
});
