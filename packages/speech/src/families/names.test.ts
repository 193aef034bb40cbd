/**
 * @file Tests of wav2vec 2.0's and AST's families on the modules that transformers 4.53.3 and 5.24.0 have: a layer each of
 * `Wav2Vec2ForCTC`, `HubertForCTC`, `Data2VecAudioForCTC` and `ASTForAudioClassification`.
 */

import { defaultTargetPaths, type ModelFamily, translatePath } from '@onnx-lora/sdk';
import { describe, expect, it } from 'vitest';
import { audioSpectrogramTransformer } from './audioSpectrogramTransformer.ts';
import { speechFamilies } from './index.ts';
import { wav2vec2 } from './wav2vec2.ts';

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

const wavs = [
  encoder('wav2vec2', 'pos_conv_embed.conv'),
  encoder('hubert', 'pos_conv_embed.conv'),
  encoder('data2vec_audio', 'pos_conv_embed.layers.0.conv'),
];

describe('every module has one role, and query and value are adapted by default', () => {
  it.each(wavs.map((paths) => [paths[0]!.split('.')[0]!, paths] as const))('%s', (prefix, paths) => {
    for (const path of [...paths, 'classifier', 'projector']) expect(rolesOf(wav2vec2, path), path).toHaveLength(1);
    expect(defaultTargetPaths(wav2vec2, paths)).toEqual([
      `${prefix}.encoder.layers.11.attention.q_proj`,
      `${prefix}.encoder.layers.11.attention.v_proj`,
    ]);
  });

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
  const takers = (facts: Parameters<ModelFamily['recognise']>[0]): string[] =>
    speechFamilies.filter((family) => family.recognise(facts)).map(({ name }) => name);
  for (const { name } of speechFamilies)
    expect(takers({ config: { model_type: name }, modulePaths: [] })).toEqual([name]);
  for (const paths of wavs) {
    expect(takers({ modulePaths: paths })).toEqual(['wav2vec2']);
    // The base model's export has no prefix.
    const bare = paths.map((path) => path.split('.').slice(1).join('.'));
    expect(takers({ modulePaths: bare })).toEqual(['wav2vec2']);
  }
  expect(takers({ config: { model_type: 'hubert' }, modulePaths: [] })).toEqual(['wav2vec2']);
  expect(takers({ config: { model_type: 'wavlm' }, modulePaths: wavs[0]! })).toEqual([]);
  expect(takers({ modulePaths: encoder('wavlm', 'pos_conv_embed.conv') })).toEqual([]);
  for (const i of [0, 1] as const) expect(takers({ modulePaths: named(i) })).toEqual(['audio-spectrogram-transformer']);
});
