/** @file Tests of SAM's family on the modules that transformers 4.53.3 and 5.24.0 have, which agree. */

import { defaultTargetPaths } from '@onnx-lora/sdk';
import { describe, expect, it } from 'vitest';
import { visionFamilies } from './index.ts';
import { sam } from './sam.ts';

const attention = (path: string): string[] =>
  ['q_proj', 'k_proj', 'v_proj', 'out_proj'].map((name) => `${path}.${name}`);
const encoder = ['patch_embed.projection', 'layers.11.attn.qkv', 'layers.11.attn.proj', 'layers.11.mlp.lin1', 'layers.11.mlp.lin2', 'neck.conv1', 'neck.conv2'].map((name) => `vision_encoder.${name}`); // prettier-ignore
const prompt = ['point_embed.3', 'not_a_point_embed', 'no_mask_embed', 'mask_embed.conv3'].map(
  (name) => `prompt_encoder.${name}`,
);
const decoder = [
  'iou_token',
  'mask_tokens',
  ...attention('transformer.layers.1.self_attn'),
  ...attention('transformer.layers.1.cross_attn_token_to_image'),
  ...attention('transformer.layers.1.cross_attn_image_to_token'),
  'transformer.layers.1.mlp.lin1',
  'transformer.layers.1.mlp.lin2',
  ...attention('transformer.final_attn_token_to_image'),
  'upscale_conv1',
  'output_hypernetworks_mlps.3.proj_in',
  'output_hypernetworks_mlps.3.layers.0',
  'iou_prediction_head.proj_out',
].map((name) => `mask_decoder.${name}`);

describe('sam', () => {
  it('knows one role for every module, with the prefix of the whole model or without', () => {
    for (const path of [...encoder, ...prompt, ...decoder]) {
      for (const each of [path, path.slice(path.indexOf('.') + 1)]) {
        const roles = Object.values(sam.roles).filter((patterns) =>
          patterns.some(({ source }) => new RegExp(`^(?:${source})$`).test(each)),
        );
        expect(roles, each).toHaveLength(1);
      }
    }
  });

  it('adapts the attention of the encoder, and queries and values of the decoder', () => {
    expect(defaultTargetPaths(sam, encoder)).toEqual(['vision_encoder.layers.11.attn.qkv']);
    expect(defaultTargetPaths(sam, decoder)).toEqual(decoder.filter((path) => /\.[qv]_proj$/.test(path)));
  });

  it('is recognised alone, by its configuration or its modules', () => {
    const takers = (facts: Parameters<typeof sam.recognise>[0]): string[] =>
      visionFamilies.filter((family) => family.recognise(facts)).map(({ name }) => name);
    for (const modulePaths of [encoder, [...prompt, ...decoder], [...encoder, ...prompt, ...decoder]])
      expect(takers({ modulePaths })).toEqual(['sam']);
    expect(takers({ config: { model_type: 'sam' }, modulePaths: [] })).toEqual(['sam']);
    expect(takers({ config: { model_type: 'swin' }, modulePaths: encoder })).toEqual(['swin']);
  });
});
