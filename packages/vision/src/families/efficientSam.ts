/** @file The family EfficientSAM: SAM with a small plain ViT as its encoder. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { samDecoder, samTargets } from './samDecoder.ts';
import { visionFamily } from './visionFamily.ts';

/** EfficientSAM as its authors write it: the whole model, or its encoder alone. */
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
  // transformers has no EfficientSAM; its images are only scaled to between 0 and 1.
  preprocessors: [],
});
