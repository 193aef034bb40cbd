/** @file GPT-2: Radford et al. 2019. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { splitHeads } from '../../layers/attention.ts';
import { Decoding } from '../../layers/texts/decoder.ts';
import { vocabularyScores } from '../../layers/heads.ts';
import type { Module } from '../../layers/module.ts';
import type { TransformerSizes } from '../../layers/sizes.ts';

interface Sizes extends TransformerSizes {
  readonly vocabulary: number;
  readonly positions: number;
  /** Score scaling by 1 ÷ √(head size), and by 1 ÷ layer number. */
  readonly scale: readonly [bySize: boolean, byLayer: boolean];
  readonly isTied: boolean;
}

function sizes(c: Config): Sizes {
  c.only('add_cross_attention', false);
  c.skip('reorder_and_upcast_attn', 'n_ctx', 'summary_activation', 'summary_proj_to_labels', 'summary_type', 'summary_use_proj'); // prettier-ignore
  const hidden = c.size('n_embd', 768);
  return {
    vocabulary: c.size('vocab_size', 50_257),
    positions: c.size('n_positions', 1024),
    hidden,
    layers: c.size('n_layer', 12),
    heads: c.divisor('n_head', hidden, 12),
    inner: c.size('n_inner', 4 * hidden),
    act: c.activation('activation_function', 'gelu_new'),
    eps: c.number('layer_norm_epsilon', 1e-5),
    scale: [c.flag('scale_attn_weights', true), c.flag('scale_attn_by_inverse_layer_idx', false)],
    isTied: c.flag('tie_word_embeddings', true),
  };
}

function block(m: Module, x: Value, i: number, s: Sizes, decoding: Decoding): Value {
  const { g } = m;
  const attention = m.at('attn');
  const packed = attention.conv1d('c_attn', m.layerNorm('ln_1', x, s.eps), 3 * s.hidden);
  const parts = attention.g.Split(packed, [s.hidden, s.hidden, s.hidden], -1);
  const [q, k, v] = parts.map((part) => splitHeads(attention, part, s.heads)) as [Value, Value, Value];
  const scale = (s.scale[0] ? (s.hidden / s.heads) ** -0.5 : 1) / (s.scale[1] ? i + 1 : 1);
  x = g.Add(x, attention.conv1d('c_proj', decoding.attend(attention, i, { q, k, v, scale }), s.hidden));
  const inner = s.act(g, m.conv1d('mlp.c_fc', m.layerNorm('ln_2', x, s.eps), s.inner));
  return g.Add(x, m.conv1d('mlp.c_proj', inner, s.hidden));
}

export const gpt2: Architecture = {
  modelType: 'gpt2',
  prefix: 'transformer',
  others: /^score\.|^multiple_choice_head\.|^classifier\./,
  classes: {
    GPT2LMHeadModel: modelClass(sizes, (m, s) => {
      const { layers, heads, hidden, vocabulary } = s;
      const t = m.at('transformer');
      const decoding = new Decoding(m, { layers, keyHeads: heads, headSize: hidden / heads });
      const words = t.embedding('wte', decoding.ids, vocabulary, hidden);
      let x = t.g.Add(words, t.embedding('wpe', decoding.positions, s.positions, hidden));
      for (const [i, each] of t.list('h', layers).entries()) x = block(each, x, i, s, decoding);
      x = t.layerNorm('ln_f', x, s.eps);
      const table = t.parameter('wte.weight', [vocabulary, hidden]);
      m.graph.output('logits', vocabularyScores(m, 'lm_head', x, { table, isTied: s.isTied }));
    }),
  },
};
