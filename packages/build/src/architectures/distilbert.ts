/** @file DistilBERT: Sanh et al. 2019. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture, Graphs } from '../architecture.ts';
import type { Config } from '../checkpoint/config.ts';
import type { Activation } from '../layers/activations.ts';
import { selfAttention } from '../layers/attention.ts';
import { paddingMask } from '../layers/masks.ts';
import type { Module } from '../layers/module.ts';
import { stateOutputs } from '../layers/sentences.ts';
import { textInputs, type TextInputs } from '../layers/texts.ts';

interface Sizes {
  readonly vocabulary: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly inner: number;
  readonly act: Activation;
  readonly positions: number;
}

/** Whatever config.json says. */
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

function states(m: Module, s: Sizes): { readonly x: Value; readonly inputs: TextInputs } {
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

function withHead(c: Config, logits: (m: Module, x: Value, s: Sizes) => Value): Graphs {
  const s = sizes(c);
  return { model: (m) => m.graph.output('logits', logits(m, states(m.at('distilbert'), s).x, s)) };
}

export const distilbert: Architecture = {
  modelType: 'distilbert',
  prefix: 'distilbert',
  others: /^vocab_|^pre_classifier\.|^classifier\.|^qa_outputs\./,
  classes: {
    DistilBertModel: (c, { pooling }) => {
      const s = sizes(c);
      return {
        model: (m) => {
          const { x, inputs } = states(m, s);
          stateOutputs(m, x, inputs.mask, pooling);
        },
      };
    },
    DistilBertForMaskedLM: (c) => {
      const isTied = c.flag('tie_word_embeddings', true);
      return withHead(c, (m, x, s) => {
        const table = m.parameter('distilbert.embeddings.word_embeddings.weight', [s.vocabulary, s.hidden]);
        const y = s.act(m.g, m.linear('vocab_transform', x, s.hidden));
        const normed = m.layerNorm('vocab_layer_norm', y, EPSILON);
        return isTied
          ? m.tied('vocab_projector', normed, table, s.vocabulary)
          : m.linear('vocab_projector', normed, s.vocabulary);
      });
    },
    DistilBertForSequenceClassification: (c) => {
      const labels = c.labels();
      return withHead(c, (m, x, s) => {
        return m.linear('classifier', m.g.Relu(m.linear('pre_classifier', m.row(x, 0), s.hidden)), labels);
      });
    },
    DistilBertForTokenClassification: (c) => {
      const labels = c.labels();
      return withHead(c, (m, x) => m.linear('classifier', x, labels));
    },
  },
};
