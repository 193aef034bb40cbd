/** @file Module names of SAM's prompt encoder and mask decoder, which the SAMs with smaller encoders share. */

import type { FamilyFiles, RoleNames } from '@onnx-lora/sdk/plugin';

const attentions = [
  'transformer.layers.{n}.self_attn',
  'transformer.layers.{n}.cross_attn_token_to_image',
  'transformer.layers.{n}.cross_attn_image_to_token',
  'transformer.final_attn_token_to_image',
];

/** A decoder as transformers and segment_anything write it: in a file of its own, or behind `mask_decoder.`. */
export const samDecoder: RoleNames = {
  'decoder.query': attentions.map((name) => `${name}.q_proj`),
  'decoder.key': attentions.map((name) => `${name}.k_proj`),
  'decoder.value': attentions.map((name) => `${name}.v_proj`),
  'decoder.output': attentions.flatMap((name) => [`${name}.out_proj`, `${name}.o_proj`]),
  'decoder.mlp': [
    'transformer.layers.{n}.mlp.lin{n}',
    'transformer.layers.{n}.mlp.proj_in',
    'transformer.layers.{n}.mlp.proj_out',
    'transformer.layers.{n}.mlp.layers.{n}',
    'transformer.layers.{n}.mlp.layers.{n}.0',
    'transformer.layers.{n}.mlp.fc',
  ],
  'decoder.upscale': ['upscale_conv{n}', 'output_upscaling.{n}', 'final_output_upscaling_layers.{n}.{n}', 'conv_s{n}'],
  'decoder.head': ['output_hypernetworks_mlps.{n}', 'iou_prediction_head', 'pred_obj_score_head'].flatMap((name) => [
    `${name}.proj_in`,
    `${name}.proj_out`,
    `${name}.layers.{n}`,
    `${name}.layers.{n}.0`,
    `${name}.fc`,
  ]),
  'decoder.token': ['iou_token', 'mask_tokens', 'obj_score_token'],
  prompt: [
    'mask_embed.conv{n}',
    'mask_downscaling.{n}',
    'point_embed',
    'point_embed.{n}',
    'point_embeddings',
    'point_embeddings.{n}',
    'no_mask_embed',
    'not_a_point_embed',
    'invalid_points',
    'bbox_top_left_embeddings',
    'bbox_bottom_right_embeddings',
  ],
};

/** The encoder's attention and, where it is in the file, queries and values of the decoder's. */
export const samTargets: readonly string[] = ['attention.query-key-value', 'decoder.query', 'decoder.value'];

/** The reason for {@link samTargets}. */
export const samed =
  'the encoder\'s fused attention: Zhang and Liu, "Customized Segment Anything Model for Medical Image Segmentation" (SAMed, 2023), arXiv:2304.13785; its decoder, which they train in full, gets adapters at queries and values';

/** SAM and SAM 2 are published as two files: the encoder of images, and that of prompts with the decoder of masks. */
export const samFiles: FamilyFiles = {
  parts: [{ name: 'vision_encoder', prefix: 'vision_encoder' }, { name: 'prompt_encoder_mask_decoder' }],
};
