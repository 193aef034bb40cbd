/** @file The families on the modules that diffusers 0.35.2 has: a block of each. */

import type { DescribedFamily, ModelFacts } from '@onnx-lora/sdk/plugin';
import { checkFamily } from '@onnx-lora/testing';
import { expect, it } from 'vitest';
import { dalle2, diffusionFamilies, flux, pixart, stableDiffusion, stableDiffusion3 } from './index.ts';

const qkvo = ['to_q', 'to_k', 'to_v', 'to_out.0'];
const block = (path: string, attentions: readonly string[]): string[] => [
  ...attentions.flatMap((name) => qkvo.map((each) => `${path}.${name}.${each}`)),
  `${path}.ff.net.0.proj`,
  `${path}.ff.net.2`,
];
const context = ['add_q_proj', 'add_k_proj', 'add_v_proj', 'to_add_out'];
const unet = [
  'conv_in',
  'time_embedding.linear_1',
  'down_blocks.0.attentions.0.proj_in',
  ...block('down_blocks.0.attentions.0.transformer_blocks.0', ['attn1', 'attn2']),
  'down_blocks.0.resnets.0.conv1',
  'mid_block.resnets.0.conv2',
];
const clip = ['q_proj', 'k_proj', 'v_proj', 'out_proj'].map((name) => `text_encoder.text_model.encoder.layers.0.self_attn.${name}`); // prettier-ignore

const models: readonly (readonly [DescribedFamily, string[], string[]])[] = [
  [stableDiffusion, unet, ['attn1', 'attn2'].flatMap((name) => qkvo.map((each) => `${name}.${each}`))],
  [stableDiffusion, [...clip, ...unet.map((path) => `unet.${path}`)], ['attn1', 'attn2'].flatMap((name) => qkvo.map((each) => `${name}.${each}`))], // prettier-ignore
  [stableDiffusion3, [...block('transformer_blocks.0', ['attn']), ...context.map((name) => `transformer_blocks.0.attn.${name}`), 'context_embedder'], qkvo.map((each) => `attn.${each}`)], // prettier-ignore
  [flux, [...block('transformer_blocks.0', ['attn']), ...context.map((name) => `transformer_blocks.0.attn.${name}`), ...qkvo.slice(0, 3).map((each) => `single_transformer_blocks.0.attn.${each}`), 'single_transformer_blocks.0.proj_mlp', 'single_transformer_blocks.0.proj_out'], [...qkvo.map((each) => `attn.${each}`), ...qkvo.slice(0, 3).map((each) => `attn.${each}`)]], // prettier-ignore
  [pixart, ['adaln_single.linear', ...block('transformer_blocks.0', ['attn1', 'attn2'])], ['attn1', 'attn2'].flatMap((name) => qkvo.map((each) => `${name}.${each}`))], // prettier-ignore
  [dalle2, ['proj_to_clip_embeddings', 'proj_in', ...block('transformer_blocks.0', ['attn1'])], qkvo.map((each) => `attn1.${each}`)], // prettier-ignore
  [dalle2, ['down_blocks.0.resnets.0.conv1', 'mid_block.resnets.0.conv1', ...[...qkvo, 'add_k_proj', 'add_v_proj'].map((each) => `down_blocks.0.attentions.0.${each}`)], qkvo.map((each) => `attentions.0.${each}`)], // prettier-ignore
];

it.each(diffusionFamilies.map((family) => [family.name, family] as const))('%s', (_, family) => {
  const own = models.filter(([each]) => each === family).map(([, modulePaths, targets]) => ({ modulePaths, targets }));
  const others = models.filter(([each]) => each !== family).map(([, modulePaths]): ModelFacts => ({ modulePaths }));
  expect(checkFamily(family, { own, others })).toEqual([]);
});
