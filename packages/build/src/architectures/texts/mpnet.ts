/** @file MPNet: Song et al. 2020, "Masked and permuted pre-training for language understanding". */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { selfAttention } from '../../layers/attention.ts';
import type { Module } from '../../layers/module.ts';
import { type TransformerSizes, transformerSizes } from '../../layers/sizes.ts';
import { distanceBias, positionsPastPadding } from '../../layers/texts/positions.ts';
import { paddingMask, textInputs } from '../../layers/texts/texts.ts';
import { type Encoded, robertaHeads, textEncoder } from './textEncoder.ts';

interface Sizes extends TransformerSizes {
  readonly vocabulary: number;
  readonly positions: number;
  /** Rows of the bias table. */
  readonly rows: number;
}

/** Fixed padding id and buckets, whatever config.json says. */
const PADDING = 1;
const BUCKETS = { buckets: 32, most: 128 };

function sizes(c: Config): Sizes {
  const rows = c.size('relative_attention_num_buckets', BUCKETS.buckets);
  if (rows < BUCKETS.buckets) throw c.unsupported('relative_attention_num_buckets', `It needs ${BUCKETS.buckets}.`);
  return {
    ...transformerSizes(c, { hidden: 768, heads: 12, inner: 3072, act: 'gelu', eps: 1e-12 }),
    vocabulary: c.size('vocab_size', 30527),
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

function states(m: Module, s: Sizes): Encoded {
  const inputs = textInputs(m);
  const encoder = m.at('encoder');
  const table = encoder.parameter('relative_attention_bias.weight', [s.rows, s.heads]);
  const masks = [distanceBias(encoder, table, m.sizeOf(inputs.ids, 1), BUCKETS), paddingMask(m, inputs.mask)];
  let x = embeddings(m.at('embeddings'), inputs.ids, s);
  for (const each of encoder.list('layer', s.layers)) x = layer(each, x, s, masks);
  return { x, inputs };
}

export const mpnet: Architecture = textEncoder<Sizes>({
  modelType: 'mpnet',
  name: 'MPNet',
  prefix: 'mpnet',
  others: /^(?:mpnet\.)?pooler\.|^lm_head\.|^classifier\.|^qa_outputs\./,
  sizes,
  states,
  ...robertaHeads,
});
