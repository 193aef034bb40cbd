/** @file MPNet: Song et al. 2020, "Masked and permuted pre-training for language understanding". */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture, Graphs } from '../architecture.ts';
import type { Config } from '../checkpoint/config.ts';
import { type Activation, gelu } from '../layers/activations.ts';
import { selfAttention } from '../layers/attention.ts';
import { paddingMask } from '../layers/masks.ts';
import type { Module } from '../layers/module.ts';
import { distanceBias, positionsPastPadding } from '../layers/positions.ts';
import { stateOutputs } from '../layers/sentences.ts';
import { textInputs, type TextInputs } from '../layers/texts.ts';

/** What config.json says of an encoder of MPNet's kind. */
interface Sizes {
  readonly vocabulary: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly inner: number;
  readonly act: Activation;
  readonly eps: number;
  readonly positions: number;
  /** Rows of the table of biases. */
  readonly rows: number;
}

/** Whatever config.json says, positions are counted past this id, and distances are put into so many buckets. */
const PADDING = 1;
const BUCKETS = { buckets: 32, most: 128 };

function sizes(c: Config): Sizes {
  const rows = c.size('relative_attention_num_buckets', BUCKETS.buckets);
  if (rows < BUCKETS.buckets) throw c.unsupported('relative_attention_num_buckets', `It needs ${BUCKETS.buckets}.`);
  return {
    vocabulary: c.size('vocab_size', 30527),
    hidden: c.size('hidden_size', 768),
    layers: c.size('num_hidden_layers', 12),
    heads: c.size('num_attention_heads', 12),
    inner: c.size('intermediate_size', 3072),
    act: c.activation('hidden_act', 'gelu'),
    eps: c.number('layer_norm_eps', 1e-12),
    positions: c.size('max_position_embeddings', 512),
    rows,
  };
}

function layer(m: Module, x: Value, s: Sizes, mask: readonly Value[]): Value {
  const attention = m.at('attention.attn');
  const context = selfAttention(attention, x, { names: ['q', 'k', 'v'], heads: s.heads, mask });
  const attended = m.g.Add(attention.linear('o', context, s.hidden), x);
  x = m.layerNorm('attention.LayerNorm', attended, s.eps);
  const inner = s.act(m.g, m.linear('intermediate.dense', x, s.inner));
  return m.layerNorm('output.LayerNorm', m.g.Add(m.linear('output.dense', inner, s.hidden), x), s.eps);
}

function embeddings(m: Module, ids: Value, s: Sizes): Value {
  const words = m.embedding('word_embeddings', ids, s.vocabulary, s.hidden);
  const places = m.embedding('position_embeddings', positionsPastPadding(m, ids, PADDING), s.positions, s.hidden);
  return m.layerNorm('LayerNorm', m.g.Add(words, places), s.eps);
}

function states(m: Module, s: Sizes): { readonly x: Value; readonly inputs: TextInputs } {
  const inputs = textInputs(m);
  const encoder = m.at('encoder');
  const table = encoder.parameter('relative_attention_bias.weight', [s.rows, s.heads]);
  const masks = [distanceBias(encoder, table, m.sizeOf(inputs.ids, 1), BUCKETS), paddingMask(m, inputs.mask)];
  let x = embeddings(m.at('embeddings'), inputs.ids, s);
  for (const each of encoder.list('layer', s.layers)) x = layer(each, x, s, masks);
  return { x, inputs };
}

/** Dense, exact gelu, norm, and the embedding as the last layer where that is tied. */
function maskedHead(m: Module, x: Value, s: Sizes, tied: boolean, table: Value): Value {
  const y = m.layerNorm('layer_norm', gelu(m.g, m.linear('dense', x, s.hidden)), s.eps);
  // The layer's own bias is read where it is not tied to that of the head; stored may be either, or both.
  const names = tied ? ['bias', 'decoder.bias'] : ['decoder.bias', 'bias'];
  const bias = m.parameter(names.find((name) => m.has(name)) ?? names[0]!, [s.vocabulary]);
  for (const name of names) m.graph.weights.use(m.under(name));
  const product = tied ? m.tied('decoder', y, table) : m.linear('decoder', y, s.vocabulary, { bias: false });
  return m.g.Add(product, bias);
}

/** A class whose logits are those of a head on the states. */
function withHead(c: Config, logits: (m: Module, x: Value, s: Sizes) => Value): Graphs {
  const s = sizes(c);
  return { model: (m) => m.graph.output('logits', logits(m, states(m.at('mpnet'), s).x, s)) };
}

export const mpnet: Architecture = {
  modelType: 'mpnet',
  prefix: 'mpnet',
  others: /^(?:mpnet\.)?pooler\.|^lm_head\.|^classifier\.|^qa_outputs\./,
  classes: {
    MPNetModel: (c, { pooling }) => {
      const s = sizes(c);
      return {
        model: (m) => {
          const { x, inputs } = states(m, s);
          stateOutputs(m, x, inputs.mask, pooling);
        },
      };
    },
    MPNetForMaskedLM: (c) => {
      const tied = c.flag('tie_word_embeddings', true);
      return withHead(c, (m, x, s) => {
        const table = m.parameter('mpnet.embeddings.word_embeddings.weight', [s.vocabulary, s.hidden]);
        return maskedHead(m.at('lm_head'), x, s, tied, table);
      });
    },
    MPNetForSequenceClassification: (c) => {
      const labels = c.labels();
      return withHead(c, (m, x, s) => {
        const dense = m.g.Tanh(m.linear('classifier.dense', m.row(x, 0), s.hidden));
        return m.linear('classifier.out_proj', dense, labels);
      });
    },
    MPNetForTokenClassification: (c) => {
      const labels = c.labels();
      return withHead(c, (m, x) => m.linear('classifier', x, labels));
    },
  },
};
