/** @file ALBERT: Lan et al. 2019, "A lite BERT". Groups of layers share their weights, and embeddings are narrower. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { selfAttention } from '../../layers/attention.ts';
import { albertHead, maskedLanguageHead } from '../../layers/heads.ts';
import type { Module } from '../../layers/module.ts';
import { paddingMask, textInputs } from '../../layers/texts/texts.ts';
import { bertEmbeddings, bertSizes, type BertSizes } from './bert.ts';
import { type Encoded, pooled, textEncoder } from './textEncoder.ts';

interface Sizes extends BertSizes {
  readonly embedding: number;
  /** Groups of layers; each runs `layers ÷ groups` times. */
  readonly groups: number;
  readonly inGroup: number;
}

function sizes(c: Config): Sizes {
  // Fields of the first implementation only.
  c.skip('down_scale_factor', 'gap_size', 'net_structure_type', 'num_memory_blocks');
  const absent = { vocabulary: 30_000, hidden: 4096, heads: 64, inner: 16_384, act: 'gelu_new' };
  return {
    ...bertSizes(c, absent),
    embedding: c.size('embedding_size', 128),
    groups: c.size('num_hidden_groups', 1),
    inGroup: c.size('inner_group_num', 1),
  };
}

function layer(m: Module, x: Value, mask: Value, s: Sizes): Value {
  const attention = m.at('attention');
  const context = selfAttention(attention, x, { names: ['query', 'key', 'value'], heads: s.heads, mask });
  const attended = m.g.Add(x, attention.linear('dense', context, s.hidden));
  x = attention.layerNorm('LayerNorm', attended, s.eps);
  const inner = m.linear('ffn_output', s.act(m.g, m.linear('ffn', x, s.inner)), s.hidden);
  return m.layerNorm('full_layer_layer_norm', m.g.Add(inner, x), s.eps);
}

function states(m: Module, s: Sizes): Encoded {
  const inputs = textInputs(m, { types: true });
  const mask = paddingMask(m, inputs.mask);
  const narrow = bertEmbeddings(m.at('embeddings'), inputs, s, s.embedding);
  let x = m.linear('encoder.embedding_hidden_mapping_in', narrow, s.hidden);
  const groups = m.list('encoder.albert_layer_groups', s.groups);
  for (let i = 0; i < s.layers; i++) {
    const group = groups[Math.floor(i / (s.layers / s.groups))]!;
    for (const each of group.list('albert_layers', s.inGroup)) x = layer(each, x, mask, s);
  }
  return { x, inputs };
}

export const albert: Architecture = textEncoder<Sizes>({
  modelType: 'albert',
  name: 'Albert',
  prefix: 'albert',
  others: /^(?:albert\.)?pooler\.|^(?:predictions|sop_classifier|classifier|qa_outputs)\./,
  sizes,
  states,
  masked: () => (m, x, s, last) => maskedLanguageHead(m.at('predictions'), x, { ...s, ...last }, albertHead),
  sequence: () => (m, x, _, labels) => m.linear('classifier', pooled(m, 'albert.pooler', x), labels),
  pooler: 'pooler',
});
