/** @file Tests of the families of encoders on the modules that transformers 4.53.3 and 5.24.0 have: a layer of each. */

import { defaultTargetPaths, type ModelFamily, translatePath } from '@onnx-lora/sdk/plugin';
import { describe, expect, it } from 'vitest';
import { audioSpectrogramTransformer } from './audioSpectrogramTransformer.ts';
import { speechFamilies } from './index.ts';
import { data2vecAudio } from './data2vecAudio.ts';
import { hubert } from './hubert.ts';
import { sew } from './sew.ts';
import { unispeech } from './unispeech.ts';
import { wav2vec2 } from './wav2vec2.ts';
import { wav2vec2Bert } from './wav2vec2Bert.ts';
import { wav2vec2Conformer } from './wav2vec2Conformer.ts';
import { wavlm } from './wavlm.ts';

const encoder = (prefix: string, position: string): string[] => [
  `${prefix}.feature_extractor.conv_layers.0.conv`,
  `${prefix}.feature_projection.projection`,
  `${prefix}.encoder.${position}`,
  ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].map((name) => `${prefix}.encoder.layers.11.attention.${name}`),
  `${prefix}.encoder.layers.11.feed_forward.intermediate_dense`,
  `${prefix}.encoder.layers.11.feed_forward.output_dense`,
  'lm_head',
];
const spectrogram: [old: string, recent: string][] = [
  ['embeddings.patch_embeddings.projection', 'embeddings.patch_embeddings.projection'],
  ['encoder.layer.11.attention.attention.query', 'layers.11.attention.q_proj'],
  ['encoder.layer.11.attention.attention.key', 'layers.11.attention.k_proj'],
  ['encoder.layer.11.attention.attention.value', 'layers.11.attention.v_proj'],
  ['encoder.layer.11.attention.output.dense', 'layers.11.attention.o_proj'],
  ['encoder.layer.11.intermediate.dense', 'layers.11.mlp.fc1'],
  ['encoder.layer.11.output.dense', 'layers.11.mlp.fc2'],
];
const norms: [old: string, recent: string][] = [
  ['encoder.layer.11.layernorm_before', 'layers.11.layernorm_before'],
  ['encoder.layer.11.layernorm_after', 'layers.11.layernorm_after'],
  ['layernorm', 'layernorm'],
];
const under = (path: string): string => `audio_spectrogram_transformer.${path}`;
const named = (i: 0 | 1): string[] => [...spectrogram.map((pair) => under(pair[i])), 'classifier.dense'];

function rolesOf({ roles }: ModelFamily, path: string): string[] {
  return Object.entries(roles)
    .filter(([, patterns]) => patterns.some(({ source }) => new RegExp(`^(?:${source})$`).test(path)))
    .map(([role]) => role);
}

/** Paths of a model with wav2vec 2.0's encoder, its family, and what is adapted by default. */
const queryAndValue = ['attention.q_proj', 'attention.v_proj'];
const conformer = (prefix: string, ...others: string[]): string[] => [
  ...others.map((path) => `${prefix}.${path}`),
  `${prefix}.feature_projection.projection`,
  ...['q', 'k', 'v', 'out'].map((name) => `${prefix}.encoder.layers.1.self_attn.linear_${name}`),
  ...['pointwise_conv1', 'pointwise_conv2', 'depthwise_conv'].map(
    (name) => `${prefix}.encoder.layers.1.conv_module.${name}`,
  ),
  ...['ffn1', 'ffn2'].flatMap((ffn) =>
    ['intermediate_dense', 'output_dense'].map((name) => `${prefix}.encoder.layers.1.${ffn}.${name}`),
  ),
  'lm_head',
];
const attention = (prefix: string): string => `${prefix}.encoder.layers.11.attention`;
const encoders: [family: ModelFamily, paths: string[], targets: string[]][] = [
  [wav2vec2, encoder('wav2vec2', 'pos_conv_embed.conv'), queryAndValue],
  [hubert, encoder('hubert', 'pos_conv_embed.conv'), queryAndValue],
  [unispeech, encoder('unispeech', 'pos_conv_embed.conv'), queryAndValue],
  [data2vecAudio, encoder('data2vec_audio', 'pos_conv_embed.layers.0.conv'), queryAndValue],
  [
    sew,
    [
      ...encoder('sew', 'pos_conv_embed.conv').map((path) =>
        path.replace('feature_projection.projection', 'feature_projection'),
      ),
      'sew.encoder.upsample.projection',
    ],
    queryAndValue,
  ],
  [
    wavlm,
    // Of queries, keys and values the graph has only products.
    [
      ...encoder('wavlm', 'pos_conv_embed.conv').filter((path) => !/[qkv]_proj/.test(path)),
      attention('wavlm'),
      `${attention('wavlm')}.MatMul_1`,
      `${attention('wavlm')}.node_MatMul_114`,
      `${attention('wavlm')}.gru_rel_pos_linear`,
      `${attention('wavlm')}.rel_attn_embed`,
    ],
    ['feed_forward.intermediate_dense', 'feed_forward.output_dense'],
  ],
  [
    wav2vec2Conformer,
    conformer(
      'wav2vec2_conformer',
      'feature_extractor.conv_layers.0.conv',
      'encoder.pos_conv_embed.conv',
      'encoder.layers.1.self_attn.linear_pos',
    ),
    ['self_attn.linear_q', 'self_attn.linear_v'],
  ],
  [
    wav2vec2Bert,
    conformer('wav2vec2_bert', 'encoder.layers.1.self_attn.distance_embedding'),
    ['self_attn.linear_q', 'self_attn.linear_v'],
  ],
];

describe('every module has one role, and some are adapted by default', () => {
  it.each(encoders.map(([family, ...rest]) => [family.name, family, ...rest] as const))(
    '%s',
    (_, family, paths, targets) => {
      for (const path of [...paths, 'classifier', 'projector']) expect(rolesOf(family, path), path).toHaveLength(1);
      const found = defaultTargetPaths(family, paths);
      expect(found.map((path) => path.replace(/^.*layers\.\d+\./, ''))).toEqual(targets);
    },
  );

  it('AST', () => {
    for (const path of [...named(0), ...named(1)]) expect(rolesOf(audioSpectrogramTransformer, path)).toHaveLength(1);
    expect(defaultTargetPaths(audioSpectrogramTransformer, named(0))).toEqual([named(0)[1], named(0)[3]]);
    expect(defaultTargetPaths(audioSpectrogramTransformer, named(1))).toEqual([named(1)[1], named(1)[3]]);
  });
});

it("AST's names translate both ways, inside the classifier and alone", () => {
  const [table] = audioSpectrogramTransformer.generations!;
  for (const [old, recent] of [...spectrogram, ...norms, ['classifier.dense', 'classifier.dense'] as const]) {
    for (const wrap of [under, (path: string): string => path]) {
      expect(translatePath(wrap(old), table!, 5)).toBe(wrap(recent));
      expect(translatePath(wrap(recent), table!, 4)).toBe(wrap(old));
      expect(translatePath(wrap(old), table!, 4)).toBe(wrap(old));
    }
  }
});

it('each family recognises its own models alone', () => {
  const takers = (facts: Parameters<ModelFamily['matches']>[0]): string[] =>
    speechFamilies.filter((family) => family.matches(facts)).map(({ name }) => name);
  for (const { name } of speechFamilies)
    expect(takers({ config: { model_type: name }, modulePaths: [] })).toEqual([name]);
  // HuBERT and UniSpeech by themselves look like wav2vec 2.0.
  const alike = new Set(['hubert', 'unispeech']);
  for (const [{ name }, paths] of encoders) {
    expect(takers({ modulePaths: paths })).toEqual([name]);
    // The base model's export has no prefix.
    const bare = paths.map((path) => path.split('.').slice(1).join('.'));
    expect(takers({ modulePaths: bare })).toEqual([alike.has(name) ? 'wav2vec2' : name]);
  }
  expect(takers({ config: { model_type: 'bert' }, modulePaths: encoders[0]![1] })).toEqual([]);
  for (const i of [0, 1] as const) expect(takers({ modulePaths: named(i) })).toEqual(['audio-spectrogram-transformer']);
});

it('Moonshine is not taken for Whisper', () => {
  const paths = [
    ...['conv1', 'conv2', 'conv3', 'layers.0.self_attn.q_proj', 'layers.0.self_attn.o_proj', 'layers.0.mlp.fc1'].map(
      (path) => `model.encoder.${path}`,
    ),
    ...['self_attn.v_proj', 'encoder_attn.q_proj', 'encoder_attn.k_proj', 'encoder_attn.o_proj', 'mlp.fc2'].map(
      (path) => `model.decoder.layers.0.${path}`,
    ),
    'model.decoder.embed_tokens',
    'proj_out',
  ];
  const families = speechFamilies.filter((family) => family.matches({ modulePaths: paths }));
  expect(families.map(({ name }) => name)).toEqual(['moonshine']);
  for (const path of paths) expect(rolesOf(families[0]!, path), path).toHaveLength(1);
  expect(defaultTargetPaths(families[0]!, paths)).toHaveLength(3);
});
