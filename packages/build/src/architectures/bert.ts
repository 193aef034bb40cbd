/** @file BERT: Devlin et al. 2018. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture, Graphs } from '../architecture.ts';
import type { Checkpoint } from '../checkpoint/openCheckpoint.ts';
import type { Config } from '../checkpoint/config.ts';
import type { Activation } from '../layers/activations.ts';
import { selfAttention } from '../layers/attention.ts';
import { bertHead, maskedLanguageHead } from '../layers/heads.ts';
import { paddingMask } from '../layers/masks.ts';
import type { Module } from '../layers/module.ts';
import { stateOutputs } from '../layers/sentences.ts';
import { textInputs, type TextInputs } from '../layers/texts.ts';

/** What config.json says of an encoder of BERT's kind. */
export interface BertSizes {
  readonly vocabulary: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly inner: number;
  readonly act: Activation;
  readonly eps: number;
  readonly positions: number;
  readonly types: number;
}

/** Reads the fields that BERT and RoBERTa have in common; `absent` holds where config.json is silent. */
export function bertSizes(c: Config, absent: { readonly vocabulary: number } = { vocabulary: 30_522 }): BertSizes {
  c.only('position_embedding_type', 'absolute');
  c.only('is_decoder', false);
  c.only('add_cross_attention', false);
  const hidden = c.size('hidden_size', 768);
  return {
    vocabulary: c.size('vocab_size', absent.vocabulary),
    hidden,
    layers: c.size('num_hidden_layers', 12),
    heads: c.divisor('num_attention_heads', hidden, 12),
    inner: c.size('intermediate_size', 3072),
    act: c.activation('hidden_act', 'gelu'),
    eps: c.number('layer_norm_eps', 1e-12),
    positions: c.size('max_position_embeddings', 512),
    types: c.size('type_vocab_size', 2),
  };
}

/** Post-norm layers over embeddings: `[batch, sequence, hidden]`. */
export function bertEncoder(m: Module, x: Value, mask: Value, s: BertSizes): Value {
  for (const layer of m.list('encoder.layer', s.layers)) x = bertLayer(layer, x, mask, s);
  return x;
}

function bertLayer(m: Module, x: Value, mask: Value, s: BertSizes): Value {
  const names = ['query', 'key', 'value'] as const;
  const context = selfAttention(m.at('attention.self'), x, { names, heads: s.heads, mask });
  const attended = m.g.Add(m.linear('attention.output.dense', context, s.hidden), x);
  x = m.layerNorm('attention.output.LayerNorm', attended, s.eps);
  const inner = s.act(m.g, m.linear('intermediate.dense', x, s.inner));
  return m.layerNorm('output.LayerNorm', m.g.Add(m.linear('output.dense', inner, s.hidden), x), s.eps);
}

function embeddings(m: Module, { ids, types }: TextInputs, s: BertSizes): Value {
  const { g } = m;
  const words = m.embedding('word_embeddings', ids, s.vocabulary, s.hidden);
  const places = m.embedding('position_embeddings', m.range(0, m.sizeOf(ids, 1)), s.positions, s.hidden);
  const sum = g.Add(g.Add(words, m.embedding('token_type_embeddings', types!, s.types, s.hidden)), places);
  return m.layerNorm('LayerNorm', sum, s.eps);
}

function states(m: Module, s: BertSizes): { readonly x: Value; readonly inputs: TextInputs } {
  const inputs = textInputs(m, { types: true });
  return { x: bertEncoder(m, embeddings(m.at('embeddings'), inputs, s), paddingMask(m, inputs.mask), s), inputs };
}

function pooled(m: Module, x: Value, hidden: number): Value {
  return m.g.Tanh(m.linear('pooler.dense', m.row(x, 0), hidden));
}

/** A class whose logits are those of a head on the states. */
function withHead(c: Config, logits: (m: Module, x: Value, s: BertSizes) => Value): Graphs {
  const s = bertSizes(c);
  return { model: (m) => m.graph.output('logits', logits(m, states(m.at('bert'), s).x, s)) };
}

function bare(c: Config, { pooling }: Checkpoint): Graphs {
  const s = bertSizes(c);
  return {
    model: (m) => {
      const { x, inputs } = states(m, s);
      stateOutputs(m, x, inputs.mask, pooling);
    },
  };
}

export const bert: Architecture = {
  modelType: 'bert',
  prefix: 'bert',
  others: /^(?:bert\.)?pooler\.|^cls\.|^classifier\.|^qa_outputs\./,
  classes: {
    BertModel: bare,
    BertForMaskedLM: (c) => {
      const isTied = c.flag('tie_word_embeddings', true);
      return withHead(c, (m, x, s) => {
        const table = m.parameter('bert.embeddings.word_embeddings.weight', [s.vocabulary, s.hidden]);
        return maskedLanguageHead(m.at('cls.predictions'), x, { ...s, table, isTied }, bertHead);
      });
    },
    BertForSequenceClassification: (c) => {
      const labels = c.labels();
      return withHead(c, (m, x, s) => m.linear('classifier', pooled(m.at('bert'), x, s.hidden), labels));
    },
    BertForTokenClassification: (c) => {
      const labels = c.labels();
      return withHead(c, (m, x) => m.linear('classifier', x, labels));
    },
  },
};
