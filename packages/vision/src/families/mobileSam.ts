/** @file The family MobileSAM: SAM with a TinyViT as its encoder, and TinyViT itself. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { samDecoder, samTargets } from './samDecoder.ts';
import { backboneTasks, visionFamily } from './visionFamily.ts';

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
