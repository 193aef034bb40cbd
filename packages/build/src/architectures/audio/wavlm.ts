/** @file WavLM: Chen et al. 2021, "Large-scale self-supervised pre-training for full stack speech processing". */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import { attend, project, splitHeads } from '../../layers/attention.ts';
import type { Module } from '../../layers/module.ts';
import { distanceBias, readBuckets } from '../../layers/texts/positions.ts';
import type { Attention } from '../../layers/audio/speechEncoder.ts';
import { speechArchitecture } from './wav2vec2.ts';

export const wavlm: Architecture = speechArchitecture({
  modelType: 'wavlm',
  name: 'WavLM',
  attention: (c) => {
    const buckets = readBuckets(c, ['num_buckets', 320], ['max_bucket_distance', 800]);
    const heads = c.size('num_attention_heads', 12);
    return (first, x) => {
      const table = first.parameter('rel_attn_embed.weight', [buckets.buckets, heads]);
      return gatedAttention(distanceBias(first, table, first.sizeOf(x, 1), buckets));
    };
  },
});

/** Attention with a gated distance bias `[1, heads, frames, frames]`. */
function gatedAttention(bias: Value): Attention {
  return (m, x, { heads, hidden }, mask) => {
    const [q, k, v] = project(m, x, { names: ['q_proj', 'k_proj', 'v_proj'], heads });
    const gated = m.g.Mul(gate(m, splitHeads(m, x, heads), heads), bias);
    return m.linear('out_proj', attend(m, { q, k, v, mask: mask ? [gated, mask] : gated }), hidden);
  };
}

/** Gate per head and query: `[batch, heads, frames, size]` → `[batch, heads, frames, 1]`. */
function gate(m: Module, x: Value, heads: number): Value {
  const { g } = m;
  const sums = g.ReduceSum(g.Reshape(m.linear('gru_rel_pos_linear', x, 8), [0, 0, -1, 2, 4]), [4], false);
  const [a, b] = g.Split(g.Sigmoid(sums), [1, 1], 3) as [Value, Value];
  const scale = m.parameter('gru_rel_pos_const', [1, heads, 1, 1]);
  return g.Add(g.Mul(a, g.Sub(g.Mul(b, scale), 1)), 2);
}
