/** @file Tests of the families of encoders on the modules that transformers 4.53.3 and 5.24.0 have: a layer of each. */

import { type DescribedFamily, type ModelFacts, translatePath } from '@onnx-lora/sdk/plugin';
import { checkFamily } from '@onnx-lora/testing';
import { expect, it } from 'vitest';
import {
  audioSpectrogramTransformer,
  data2vecAudio,
  hubert,
  sew,
  unispeech,
  wav2vec2,
  wav2vec2Bert,
  wav2vec2Conformer,
  wavlm,
} from './wav2vec2.ts';
import { speechFamilies } from './index.ts';
import { moonshine, whisper } from './whisper.ts';

/** A family, the paths of a model, and the ends of those that are adapted by default. */
type Row = readonly [family: DescribedFamily, paths: string[], targets: string[]];

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
const encoders: readonly Row[] = [
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
    // For queries, keys and values, the graph has only products.
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

const projections = (prefix: string): string[] =>
  ['q_proj', 'k_proj', 'v_proj', 'out_proj'].map((name) => `${prefix}.${name}`);
const whisperEncoder = (prefix: string): string[] => [
  `${prefix}conv1`,
  `${prefix}conv2`,
  `${prefix}embed_positions`,
  ...projections(`${prefix}layers.0.self_attn`),
  `${prefix}layers.0.fc1`,
  `${prefix}layers.0.fc2`,
];
const whisperDecoder = [
  'model.decoder.embed_tokens',
  ...projections('model.decoder.layers.10.self_attn'),
  ...projections('model.decoder.layers.10.encoder_attn'),
  'model.decoder.layers.10.fc1',
  'model.decoder.layers.10.fc2',
  'proj_out',
];
const wholeWhisper = [...whisperEncoder('model.encoder.'), ...whisperDecoder];

const moonshinePaths = [
  ...['conv1', 'conv2', 'conv3', 'layers.0.self_attn.q_proj', 'layers.0.self_attn.o_proj', 'layers.0.mlp.fc1'].map(
    (path) => `model.encoder.${path}`,
  ),
  ...['self_attn.v_proj', 'encoder_attn.q_proj', 'encoder_attn.k_proj', 'encoder_attn.o_proj', 'mlp.fc2'].map(
    (path) => `model.decoder.layers.0.${path}`,
  ),
  'model.decoder.embed_tokens',
  'proj_out',
];

const models: readonly Row[] = [
  ...encoders,
  [
    whisper,
    wholeWhisper,
    [
      'encoder.layers.0.self_attn.q_proj',
      'encoder.layers.0.self_attn.v_proj',
      ...['self_attn', 'encoder_attn'].flatMap((name) =>
        ['q_proj', 'v_proj'].map((end) => `decoder.layers.10.${name}.${end}`),
      ),
    ],
  ],
  [whisper, whisperEncoder(''), ['layers.0.self_attn.q_proj', 'layers.0.self_attn.v_proj']],
  [moonshine, moonshinePaths, ['encoder.layers.0.self_attn.q_proj', 'self_attn.v_proj', 'encoder_attn.q_proj']],
  ...([0, 1] as const).map((i): Row => [audioSpectrogramTransformer, named(i), [named(i)[1]!, named(i)[3]!]]),
];

it.each(speechFamilies.map((family) => [family.title, family] as const))('%s', (_, family) => {
  const own = models.filter(([each]) => each === family);
  const problems = checkFamily(family, {
    own: own.map(([, modulePaths, targets]) => ({ modulePaths, targets })),
    others: models.filter((model) => !own.includes(model)).map(([, modulePaths]) => ({ modulePaths })),
    complete: true,
  });
  // Not each model has all that its encoder may have; of some families nothing is trained yet but by the program.
  expect(problems.filter((each) => !/is no module's in any example|names no task/.test(each))).toEqual([]);
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

const takers = (facts: ModelFacts): string[] =>
  speechFamilies.filter((family) => family.matches(facts)).map(({ name }) => name);

it("an encoder of waveforms is recognised without its prefix; HuBERT's and UniSpeech's look like wav2vec 2.0's then", () => {
  const alike = new Set(['hubert', 'unispeech']);
  for (const [{ name }, paths] of encoders) {
    const bare = paths.map((path) => path.split('.').slice(1).join('.'));
    expect(takers({ modulePaths: bare })).toEqual([alike.has(name) ? 'wav2vec2' : name]);
  }
  expect(takers({ config: { model_type: 'bert' }, modulePaths: encoders[0]![1] })).toEqual([]);
});

it('Whisper is recognised by its configuration, else by its encoder', () => {
  expect(takers({ config: { model_type: 'bart' }, modulePaths: wholeWhisper })).toEqual([]);
  expect(takers({ config: {}, modulePaths: whisperEncoder('encoder.') })).toEqual(['whisper']);
  // The names of a decoder alone are BART's too.
  expect(takers({ modulePaths: whisperDecoder })).toEqual([]);
});
