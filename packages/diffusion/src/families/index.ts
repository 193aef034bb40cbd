/** @file Families of denoisers as diffusers names their modules. */

import { describedFamily, type DescribedFamily, type FamilyFiles, type RoleNames } from '@onnx-lora/sdk/plugin';

/** Text encoder and UNet of a pipeline's folder, joined for training. */
export const denoiserFiles: FamilyFiles = {
  parts: [
    { name: 'text_encoder/model', alsoNamed: ['text_encoder/text_model'], prefix: 'text_encoder' },
    { name: 'unet/model', prefix: 'unet', reads: { encoder_hidden_states: 'last_hidden_state' } },
  ],
  outputs: ['out_sample'],
};

const unetRoles: RoleNames = {
  'attention.query': ['attn{n}.to_q'],
  'attention.key': ['attn{n}.to_k'],
  'attention.value': ['attn{n}.to_v'],
  'attention.output': ['attn{n}.to_out.0'],
  'mlp.up': ['ff.net.0.proj'],
  'mlp.down': ['ff.net.2'],
  'attention.projection': ['attentions.{n}.proj_in', 'attentions.{n}.proj_out'],
  convolution: ['resnets.{n}.conv1', 'resnets.{n}.conv2', 'resnets.{n}.conv_shortcut'],
  'text.query': ['self_attn.q_proj'],
  'text.key': ['self_attn.k_proj'],
  'text.value': ['self_attn.v_proj'],
  'text.output': ['self_attn.out_proj'],
};

const attention = ['attention.query', 'attention.key', 'attention.value', 'attention.output'];

const attentionOnly =
  'attention alone, as the training scripts of diffusers: https://huggingface.co/docs/diffusers/training/lora';

/** UNets of Stable Diffusion 1, 2 and XL; of a pipeline's folder, its text encoder and its UNet. */
export const stableDiffusion: DescribedFamily = describedFamily({
  name: 'stable-diffusion',
  title: 'Stable Diffusion and SDXL',
  domain: 'diffusion',
  paper:
    'Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), arXiv:2112.10752; Podell et al., "SDXL" (2023), arXiv:2307.01952',
  modelTypes: [],
  signatures: [
    ['^unet.down_blocks.{n}', '^unet.mid_block'],
    ['^down_blocks.{n}', '^mid_block', '!add_k_proj'],
  ],
  names: unetRoles,
  defaultTargets: attention,
  targetsFrom: attentionOnly,
  tasks: ['text-to-image'],
  files: denoiserFiles,
});

const jointRoles: RoleNames = {
  'attention.query': ['attn.to_q'],
  'attention.key': ['attn.to_k'],
  'attention.value': ['attn.to_v'],
  'attention.output': ['attn.to_out.0'],
  'context.query': ['attn.add_q_proj'],
  'context.key': ['attn.add_k_proj'],
  'context.value': ['attn.add_v_proj'],
  'context.output': ['attn.to_add_out'],
  'mlp.up': ['ff.net.0.proj', 'proj_mlp'],
  'mlp.down': ['ff.net.2'],
};

/** The transformer of Stable Diffusion 3. */
export const stableDiffusion3: DescribedFamily = describedFamily({
  name: 'stable-diffusion-3',
  title: 'Stable Diffusion 3',
  domain: 'diffusion',
  paper:
    'Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis" (2024), arXiv:2403.03206',
  modelTypes: [],
  signatures: [['^transformer_blocks.{n}.attn.add_q_proj', '!single_transformer_blocks']],
  names: jointRoles,
  defaultTargets: attention,
  targetsFrom: attentionOnly,
  tasks: ['text-to-image'],
});

/** The transformer of Flux. */
export const flux: DescribedFamily = describedFamily({
  name: 'flux',
  title: 'Flux',
  domain: 'diffusion',
  paper: 'Black Forest Labs, "FLUX.1" (2024), https://github.com/black-forest-labs/flux',
  modelTypes: [],
  signatures: [['^single_transformer_blocks.{n}']],
  names: jointRoles,
  defaultTargets: attention,
  targetsFrom: attentionOnly,
  tasks: ['text-to-image'],
});

/** The transformer of PixArt. */
export const pixart: DescribedFamily = describedFamily({
  name: 'pixart',
  title: 'PixArt',
  domain: 'diffusion',
  paper: 'Chen et al., "PixArt-α" (2023), arXiv:2310.00426',
  modelTypes: [],
  signatures: [['^transformer_blocks.{n}.attn1', '^adaln_single']],
  names: {
    'attention.query': ['attn{n}.to_q'],
    'attention.key': ['attn{n}.to_k'],
    'attention.value': ['attn{n}.to_v'],
    'attention.output': ['attn{n}.to_out.0'],
    'mlp.up': ['ff.net.0.proj'],
    'mlp.down': ['ff.net.2'],
  },
  defaultTargets: attention,
  targetsFrom: attentionOnly,
  tasks: ['text-to-image'],
});

/** DALL·E 2 in diffusers' layout: unCLIP's prior, and its decoder. */
export const dalle2: DescribedFamily = describedFamily({
  name: 'dalle-2',
  title: 'DALL·E 2 (unCLIP)',
  domain: 'diffusion',
  paper: 'Ramesh et al., "Hierarchical Text-Conditional Image Generation with CLIP Latents" (2022), arXiv:2204.06125',
  modelTypes: [],
  signatures: [
    ['^transformer_blocks.{n}.attn1', '^proj_to_clip_embeddings'],
    ['^down_blocks.{n}', '^mid_block', 'attentions.{n}.add_k_proj'],
  ],
  names: {
    'attention.query': ['attn1.to_q', 'attentions.{n}.to_q'],
    'attention.key': ['attn1.to_k', 'attentions.{n}.to_k'],
    'attention.value': ['attn1.to_v', 'attentions.{n}.to_v'],
    'attention.output': ['attn1.to_out.0', 'attentions.{n}.to_out.0'],
    'context.key': ['attentions.{n}.add_k_proj'],
    'context.value': ['attentions.{n}.add_v_proj'],
    'mlp.up': ['ff.net.0.proj'],
    'mlp.down': ['ff.net.2'],
  },
  defaultTargets: attention,
  targetsFrom: attentionOnly,
  tasks: ['text-to-image'],
});

/** All families of this package, in order of recognition. */
export const diffusionFamilies: readonly DescribedFamily[] = [stableDiffusion, stableDiffusion3, flux, pixart, dalle2];
