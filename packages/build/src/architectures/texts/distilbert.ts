/** @file DistilBERT: Sanh et al. 2019. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { selfAttention } from '../../layers/attention.ts';
import type { Module } from '../../layers/module.ts';
import type { TransformerSizes } from '../../layers/sizes.ts';
import { vocabularyScores } from '../../layers/heads.ts';
import { paddingMask, textInputs } from '../../layers/texts/texts.ts';
import { type Encoded, textEncoder } from './textEncoder.ts';

interface Sizes extends Omit<TransformerSizes, 'eps'> {
  readonly vocabulary: number;
  readonly positions: number;
}

/** Fixed, whatever config.json says. */
const EPSILON = 1e-12;

function sizes(c: Config): Sizes {
  // Positions are stored, sinusoidal or not.
  c.skip('sinusoidal_pos_embds');
  const hidden = c.size('dim', 768);
  return {
    vocabulary: c.size('vocab_size', 30_522),
    hidden,
    layers: c.size('n_layers', 6),
    heads: c.divisor('n_heads', hidden, 12),
    inner: c.size('hidden_dim', 3072),
    act: c.activation('activation', 'gelu'),
    positions: c.size('max_position_embeddings', 512),
  };
}

function states(m: Module, s: Sizes): Encoded {
  const inputs = textInputs(m);
  const e = m.at('embeddings');
  const words = e.embedding('word_embeddings', inputs.ids, s.vocabulary, s.hidden);
  const places = e.embedding('position_embeddings', e.range(0, e.sizeOf(inputs.ids, 1)), s.positions, s.hidden);
  let x = e.layerNorm('LayerNorm', e.g.Add(words, places), EPSILON);
  const mask = paddingMask(m, inputs.mask);
  for (const layer of m.list('transformer.layer', s.layers)) x = block(layer, x, mask, s);
  return { x, inputs };
}

function block(m: Module, x: Value, mask: Value, s: Sizes): Value {
  const attention = m.at('attention');
  const context = selfAttention(attention, x, { names: ['q_lin', 'k_lin', 'v_lin'], heads: s.heads, mask });
  x = m.layerNorm('sa_layer_norm', m.g.Add(attention.linear('out_lin', context, s.hidden), x), EPSILON);
  const inner = s.act(m.g, m.linear('ffn.lin1', x, s.inner));
  return m.layerNorm('output_layer_norm', m.g.Add(m.linear('ffn.lin2', inner, s.hidden), x), EPSILON);
}

export const distilbert: Architecture = textEncoder<Sizes>({
  modelType: 'distilbert',
  name: 'DistilBert',
  prefix: 'distilbert',
  others: /^vocab_|^pre_classifier\.|^classifier\.|^qa_outputs\./,
  sizes,
  states,
  masked: () => (m, x, s, last) => {
    const y = s.act(m.g, m.linear('vocab_transform', x, s.hidden));
    return vocabularyScores(m, 'vocab_projector', m.layerNorm('vocab_layer_norm', y, EPSILON), last, true);
  },
  sequence: () => (m, x, s, labels) =>
    m.linear('classifier', m.g.Relu(m.linear('pre_classifier', m.row(x, 0), s.hidden)), labels),
});
