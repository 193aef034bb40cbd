/** @file The family SAM (Segment Anything). */

import type { ModelFamily } from '@onnx-lora/sdk';

const layer = String.raw`(?:vision_encoder\.)?layers\.\d+\.`;
const decoder = String.raw`(?:mask_decoder\.)?transformer\.(?:layers\.\d+\.(?:self_attn|cross_attn_\w+)|final_attn_\w+)\.`;

/**
 * SAM as transformers writes it: the whole model, or the vision encoder and the mask decoder in files of their own.
 * transformers 4 and 5 use the same names. A lone .onnx file is recognised by the encoder's fused attention, or by the
 * decoder's attention to the image.
 *
 * @see Kirillov et al., "Segment Anything" (2023), arXiv:2304.02643
 */
export const sam: ModelFamily = {
  name: 'sam',
  domain: 'vision',
  recognise: ({ config, modulePaths }) =>
    config?.['model_type'] === undefined
      ? modulePaths.some((path) =>
          /^vision_encoder\.layers\.\d+\.attn\.qkv$|^(?:mask_decoder\.)?transformer\.final_attn_token_to_image\./.test(
            path,
          ),
        )
      : config['model_type'] === 'sam' || config['model_type'] === 'sam_vision_model',
  roles: {
    'patch-embedding': [/(?:vision_encoder\.)?patch_embed\.projection/],
    'attention.query-key-value': [new RegExp(String.raw`${layer}attn\.qkv`)],
    'attention.output': [new RegExp(String.raw`${layer}attn\.proj`)],
    'mlp.up': [new RegExp(String.raw`${layer}mlp\.lin1`)],
    'mlp.down': [new RegExp(String.raw`${layer}mlp\.lin2`)],
    neck: [/(?:vision_encoder\.)?neck\.conv[12]/],
    'decoder.query': [new RegExp(String.raw`${decoder}q_proj`)],
    'decoder.key': [new RegExp(String.raw`${decoder}k_proj`)],
    'decoder.value': [new RegExp(String.raw`${decoder}v_proj`)],
    'decoder.output': [new RegExp(String.raw`${decoder}out_proj`)],
    'decoder.mlp': [/(?:mask_decoder\.)?transformer\.layers\.\d+\.mlp\.lin[12]/],
    'decoder.upscale': [/(?:mask_decoder\.)?upscale_conv[12]/],
    'decoder.head': [
      /(?:mask_decoder\.)?(?:output_hypernetworks_mlps\.\d+|iou_prediction_head)\.(?:proj_in|proj_out|layers\.\d+)/,
    ],
    prompt: [/(?:prompt_encoder\.)?(?:mask_embed\.conv[123]|point_embed\.\d+|no_mask_embed|not_a_point_embed)/],
    'decoder.token': [/(?:mask_decoder\.)?(?:iou_token|mask_tokens)/],
  },
  // The encoder's attention and, where it is in the file, the decoder's.
  defaultTargets: ['attention.query-key-value', 'decoder.query', 'decoder.value'],
  // No task of this package fits; segmentation is trained with one of the user's own.
  tasks: [],
};
