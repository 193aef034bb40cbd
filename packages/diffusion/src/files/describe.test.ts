/** @file Descriptions of LoRA files. */

import { float32 } from '@onnx-lora/sdk';
import { expect, it } from 'vitest';
import { loraFile } from '../../fixtures/oracle.ts';
import { describeLoraFile } from './describe.ts';
import { parseLoraFile, readLoraFile } from './loraFile.ts';

const zeros = (...dims: number[]): ReturnType<typeof float32> =>
  float32(new Float32Array(dims.reduce((all, dim) => all * dim, 1)), dims);

it('a file of kohya says its base, rank and words', () => {
  const tensors = new Map([
    ['lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight', zeros(4, 768)],
    ['lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight', zeros(320, 4)],
    ['lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.alpha', float32([2], [])],
    ['lora_te_text_model_encoder_layers_0_mlp_fc1.hada_w1_a', zeros(8, 2)],
    ['lora_te_text_model_encoder_layers_0_mlp_fc1.hada_w1_b', zeros(2, 8)],
    ['lora_te_text_model_encoder_layers_0_mlp_fc1.hada_w2_a', zeros(8, 2)],
    ['lora_te_text_model_encoder_layers_0_mlp_fc1.hada_w2_b', zeros(2, 8)],
  ]);
  const metadata = {
    ss_output_name: 'ink',
    ss_num_epochs: '10',
    ss_optimizer: 'None',
    ss_tag_frequency: JSON.stringify({ '10_inkstyle owl': { owl: 5, ink: 20, night: 1 } }),
    'modelspec.trigger_phrase': 'in ink style',
  };
  expect(describeLoraFile(parseLoraFile('ink.safetensors', tensors, metadata))).toEqual({
    layout: 'kohya',
    base: 'Stable Diffusion 1',
    networks: { unet: 1, text_encoder: 1 },
    forms: { LoRA: 1, LoHa: 1 },
    ranks: [2, 4],
    alphas: [2],
    types: ['float32'],
    parameters: 4 * 768 + 320 * 4 + 1 + 4 * 16,
    triggerWords: ['in ink style', 'inkstyle owl', 'ink', 'owl', 'night'],
    training: { name: 'ink', epochs: '10' },
  });
});

it('notes that are no JSON are passed over', () => {
  const tensors = new Map([['unet.proj_in.lora_A.weight', zeros(2, 4)]]);
  const { triggerWords, base } = describeLoraFile(parseLoraFile('a', tensors, { ss_tag_frequency: '{"a": {', ss_base_model_version: 'sdxl_base_v1-0' })); // prettier-ignore
  expect([triggerWords, base]).toEqual([[], 'Stable Diffusion XL']);
});

it.each([
  ['dora', 'kohya', { DoRA: 75 }],
  ['diffusers-attnprocs', 'diffusers before 0.23', { LoRA: 38 }],
  ['diffusers-metadata', 'diffusers with PEFT metadata', { LoRA: 48 }],
  ['kohya-fp16', 'kohya', { LoRA: 60 }],
])('%s is of %s', async (file, layout, forms) => {
  const found = describeLoraFile(await readLoraFile(loraFile(file)));
  expect([found.layout, found.forms]).toEqual([layout, forms]);
  if (file.startsWith('kohya')) expect([found.base, found.types]).toEqual(['Stable Diffusion 1', ['float16']]);
});
