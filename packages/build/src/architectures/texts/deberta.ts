/** @file DeBERTa 2 and 3: He et al. 2020 and 2021. BERT's layers with disentangled attention. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../../layers/activations.ts';
import {
  type Disentangled,
  disentangledAttention,
  distanceRows,
  type Distances,
  type Relative,
} from '../../layers/texts/disentangled.ts';
import { bertHead, maskedLanguageHead } from '../../layers/heads.ts';
import type { Module } from '../../layers/module.ts';
import type { TransformerSizes } from '../../layers/sizes.ts';
import { paddingMask, type TextInputs, textInputs } from '../../layers/texts/texts.ts';
import { bertLayer } from './bert.ts';
import { type Encoded, textEncoder } from './textEncoder.ts';

interface Sizes extends Omit<TransformerSizes, 'heads'> {
  readonly vocabulary: number;
  readonly embedding: number;
  readonly positions: number | undefined;
  /** Token types; 0 for none. */
  readonly types: number;
  readonly attention: Disentangled;
  /** Buckets of distances; undefined without relative attention. */
  readonly distances: (Distances & { readonly isNormed: boolean }) | undefined;
  /** Convolution parallel to the first layer. */
  readonly convolution: { readonly kernel: number; readonly groups: number; readonly act: Activation } | undefined;
}

function sizes(c: Config): Sizes {
  c.only('position_embedding_type', 'absolute');
  const hidden = c.size('hidden_size', 1536);
  const heads = c.divisor('num_attention_heads', hidden, 24);
  c.only('attention_head_size', hidden / heads);
  // Read under conditions: pooler, distances, convolution.
  c.skip('pooler_hidden_size', 'pooler_hidden_act', 'legacy', 'relative_attention', 'max_position_embeddings', 'max_relative_positions', 'position_buckets', 'norm_rel_ebd', 'share_att_key', 'conv_groups', 'conv_act'); // prettier-ignore
  const kinds = listed(c, 'pos_att_type', ['c2p', 'p2c']);
  const isRelative = kinds.length > 0 && c.flag('relative_attention', false);
  const positions = (): number => c.size('max_position_embeddings', 512);
  return {
    vocabulary: c.size('vocab_size', 128_100),
    hidden,
    embedding: c.size('embedding_size', hidden),
    layers: c.size('num_hidden_layers', 24),
    inner: c.size('intermediate_size', 6144),
    act: c.activation('hidden_act', 'gelu'),
    eps: c.number('layer_norm_eps', 1e-7),
    positions: c.flag('position_biased_input', true) ? positions() : undefined,
    types: c.whole('type_vocab_size', 0),
    attention: {
      heads,
      toPosition: kinds.includes('c2p'),
      toContent: kinds.includes('p2c'),
      isShared: isRelative && c.flag('share_att_key', false),
    },
    distances: isRelative ? distances(c, positions) : undefined,
    convolution: convolution(c),
  };
}

/** A list of words, or one string separated by bars. */
function listed(c: Config, name: string, known: readonly string[]): readonly string[] {
  const said = c.raw(name) ?? [];
  const words: readonly unknown[] = typeof said === 'string' ? said.toLowerCase().split('|') : Array.isArray(said) ? said : [undefined]; // prettier-ignore
  const found = words.map((each) => (typeof each === 'string' ? each.trim() : ''));
  if (found.every((each) => known.includes(each))) return found;
  throw c.unsupported(name, `Known are ${known.join(', ')}.`);
}

function distances(c: Config, positions: () => number): Sizes['distances'] {
  const said = c.whole('max_relative_positions', -1, -1);
  const most = said < 1 ? positions() : said;
  const buckets = c.whole('position_buckets', -1, -1);
  const isNormed = listed(c, 'norm_rel_ebd', ['none', 'layer_norm']).includes('layer_norm');
  if (buckets < 1) return { span: most, isNormed };
  if (buckets % 2 === 1 || buckets < 4) throw c.unsupported('position_buckets', 'It needs an even number from 4 on.');
  if (most <= buckets / 2 + 1) throw c.unsupported('position_buckets', `It needs less than twice ${most - 1}.`);
  return { span: buckets, most, isNormed };
}

function convolution(c: Config): Sizes['convolution'] {
  const kernel = c.whole('conv_kernel_size', 0);
  if (kernel === 0) return undefined;
  if (kernel % 2 === 0) throw c.unsupported('conv_kernel_size', 'It needs an odd number.');
  return { kernel, groups: c.size('conv_groups', 1), act: c.activation('conv_act', 'tanh') };
}

function embeddings(m: Module, { ids, mask, types }: TextInputs, s: Sizes): Value {
  const { g } = m;
  const table = (name: string, rows: number, at: Value): Value => m.embedding(name, at, rows, s.embedding);
  let x = table('word_embeddings', s.vocabulary, ids);
  if (s.positions) x = g.Add(x, table('position_embeddings', s.positions, m.range(0, m.sizeOf(ids, 1))));
  if (types) x = g.Add(x, table('token_type_embeddings', s.types, types));
  if (s.embedding !== s.hidden) x = m.linear('embed_proj', x, s.hidden, { bias: false });
  // Zeroes padding before the convolution.
  return g.Mul(m.layerNorm('LayerNorm', x, s.eps), m.floats(g.Unsqueeze(mask, [2])));
}

function relative(m: Module, length: Value, s: Sizes): Relative | undefined {
  if (!s.distances) return undefined;
  const table = m.parameter('rel_embeddings.weight', [2 * s.distances.span, s.hidden]);
  const normed = s.distances.isNormed ? m.layerNorm('LayerNorm', table, s.eps) : table;
  return { vectors: m.g.Unsqueeze(normed, [0]), rows: distanceRows(m, length, s.distances) };
}

/** Adds the convolution of x to y, the first layer's output. */
function convolved(m: Module, x: Value, y: Value, s: Sizes): Value {
  if (!s.convolution) return y;
  const { g } = m;
  const { kernel, groups, act } = s.convolution;
  const across = (z: Value): Value => g.Transpose(z, [0, 2, 1]);
  const shape = { out: s.hidden, kernel: [kernel], pads: [(kernel - 1) / 2], groups };
  return m.layerNorm('LayerNorm', g.Add(y, act(g, across(m.conv('conv', across(x), shape)))), s.eps);
}

function states(m: Module, s: Sizes): Encoded {
  const inputs = textInputs(m, { types: s.types > 0 });
  const mask = paddingMask(m, inputs.mask);
  const embedded = embeddings(m.at('embeddings'), inputs, s);
  const encoder = m.at('encoder');
  const between = relative(encoder, m.sizeOf(inputs.ids, 1), s);
  let x = embedded;
  for (const [i, layer] of encoder.list('layer', s.layers).entries()) {
    x = bertLayer(layer, x, s, (self, y) => disentangledAttention(self, y, s.attention, mask, between));
    if (i === 0) x = convolved(encoder.at('conv'), embedded, x, s);
  }
  return { x, inputs };
}

export const debertaV2: Architecture = textEncoder<Sizes>({
  modelType: 'deberta-v2',
  name: 'DebertaV2',
  prefix: 'deberta',
  // Some files have unused position tables and distance norms.
  others:
    /^(?:deberta\.)?(?:embeddings\.position_embeddings|encoder\.(?:LayerNorm|rel_embeddings))\.|^(?:pooler|cls|lm_predictions|mask_predictions|classifier|qa_outputs)\./,
  sizes,
  states,
  masked: (c) => {
    c.only('legacy', true);
    return (m, x, s, last) => maskedLanguageHead(m.at('cls.predictions'), x, { ...s, ...last }, bertHead);
  },
  sequence: (c) => {
    c.only('pooler_hidden_size', c.size('hidden_size', 1536));
    const act = c.activation('pooler_hidden_act', 'gelu');
    return (m, x, s, labels) =>
      m.linear('classifier', act(m.g, m.linear('pooler.dense', m.row(x, 0), s.hidden)), labels);
  },
});
