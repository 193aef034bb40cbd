/** @file Families of SAM (Segment Anything): SAM, SAM 2, and smaller encoders with its decoder. */

import type { DescribedFamily, FamilyFiles, RoleNames } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';

const attentions = [
  'transformer.layers.{n}.self_attn',
  'transformer.layers.{n}.cross_attn_token_to_image',
  'transformer.layers.{n}.cross_attn_image_to_token',
  'transformer.final_attn_token_to_image',
];

/** The decoder, as transformers and segment_anything write it: in its own file, or under `mask_decoder.`. */
const samDecoder: RoleNames = {
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

/** The encoder's attention, and in one file also the decoder's queries and values. */
const samTargets: readonly string[] = ['attention.query-key-value', 'decoder.query', 'decoder.value'];

const samed =
  'the encoder\'s fused attention: Zhang and Liu, "Customized Segment Anything Model for Medical Image Segmentation" (SAMed, 2023), arXiv:2304.13785; its decoder, which they train in full, gets adapters at queries and values';

/** SAM's two files: the image encoder, and the prompt encoder with the mask decoder. */
const samFiles: FamilyFiles = {
  parts: [{ name: 'vision_encoder', prefix: 'vision_encoder' }, { name: 'prompt_encoder_mask_decoder' }],
};

const decoderAttention = 'transformer.final_attn_token_to_image.q_proj';
/** Encoders of other families. */
const others = [
  '!image_encoder.layers',
  '!image_encoder.blocks.{n}.mlp.fc1',
  '!mask_decoder.conv_s0',
  '!conv_s0',
  '!sam_mask_decoder',
];

/** SAM (base, large, huge) as transformers and segment_anything write it: whole, or encoder and mask decoder. */
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
    // Excludes layers of the same names in the decoder's transformer.
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

/** SAM 2 for images, as transformers and the original (`image_encoder.trunk`) write it. */
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
  // Its decoder takes features of three sizes, which the SAM task does not feed.
  tasks: ['image-embedding'],
  preprocessors: ['Sam2ImageProcessor'],
  files: samFiles,
});

const block = 'layers.{n}.blocks.{n}';
const timmBlock = 'stages.{n}.blocks.{n}';

/** MobileSAM as its authors write it, and TinyViT also as timm does. */
export const mobileSam: DescribedFamily = visionFamily({
  name: 'mobile-sam',
  title: 'MobileSAM and TinyViT',
  paper:
    'Zhang et al., "Faster Segment Anything: Towards Lightweight SAM for Mobile Applications" (2023), arXiv:2306.14289; Wu et al., "TinyViT" (2022), arXiv:2207.10666',
  modelTypes: ['mobile_sam'],
  signatures: [
    [`${block}.attn.qkv`, `${block}.local_conv.c`],
    [`${timmBlock}.attn.qkv`, `${timmBlock}.local_conv.conv`],
  ],
  names: {
    'patch-embedding': ['patch_embed.seq.{n}.c', 'patch_embed.conv{n}.conv'],
    'attention.query-key-value': [`${block}.attn.qkv`, `${timmBlock}.attn.qkv`],
    'attention.output': [`${block}.attn.proj`, `${timmBlock}.attn.proj`],
    'mlp.up': [`${block}.mlp.fc1`, `${timmBlock}.mlp.fc1`],
    'mlp.down': [`${block}.mlp.fc2`, `${timmBlock}.mlp.fc2`],
    convolution: [
      `${block}.local_conv.c`,
      `${block}.conv{n}.c`,
      `${timmBlock}.local_conv.conv`,
      `${timmBlock}.conv{n}.conv`,
    ],
    downsample: ['layers.{n}.downsample.conv{n}.c', 'stages.{n}.downsample.conv{n}.conv'],
    neck: ['neck.{n}'],
    classifier: ['head', 'head.fc'],
    ...samDecoder,
  },
  defaultTargets: samTargets,
  targetsFrom:
    'no study of this family; the attention of the encoder, and queries and values of the decoder, as for SAM',
  tasks: ['promptable-segmentation', ...backboneTasks],
  preprocessors: ['SamImageProcessor'],
});

/** EfficientSAM as its authors write it: whole, or the encoder alone. */
export const efficientSam: DescribedFamily = visionFamily({
  name: 'efficient-sam',
  title: 'EfficientSAM',
  paper:
    'Xiong et al., "EfficientSAM: Leveraged Masked Image Pretraining for Efficient Segment Anything" (2023), arXiv:2312.00863',
  modelTypes: ['efficient_sam'],
  signatures: [
    ['^image_encoder.blocks.{n}.attn.qkv', '^image_encoder.blocks.{n}.mlp.fc1'],
    ['^blocks.{n}.attn.qkv', '^blocks.{n}.mlp.fc1', '^neck.{n}'],
  ],
  names: {
    'patch-embedding': ['patch_embed.proj'],
    'attention.query-key-value': ['blocks.{n}.attn.qkv'],
    'attention.output': ['blocks.{n}.attn.proj'],
    'mlp.up': ['blocks.{n}.mlp.fc1'],
    'mlp.down': ['blocks.{n}.mlp.fc2'],
    neck: ['neck.{n}'],
    ...samDecoder,
  },
  defaultTargets: samTargets,
  targetsFrom:
    'no study of this family; the attention of the encoder, and queries and values of the decoder, as for SAM',
  tasks: ['promptable-segmentation'],
  // Not in transformers; images are only scaled to 0 to 1.
  preprocessors: [],
});
