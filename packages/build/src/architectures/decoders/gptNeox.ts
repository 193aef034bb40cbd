/** @file GPT-NeoX and Pythia: Black et al. 2022. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { Decoding } from '../../layers/texts/decoder.ts';
import { vocabularyScores } from '../../layers/heads.ts';
import type { Module } from '../../layers/module.ts';
import { type TransformerSizes, transformerSizes } from '../../layers/sizes.ts';
import { rotated, type RotaryAngles } from '../../layers/texts/positions.ts';
import { readRotary, type Rotary } from '../../layers/texts/rotaryScaling.ts';

interface Sizes extends TransformerSizes {
  readonly vocabulary: number;
  readonly bias: boolean;
  /** Attention and MLP read the same input. */
  readonly isParallel: boolean;
  readonly rotary: Rotary;
  readonly isTied: boolean;
}

function sizes(c: Config): Sizes {
  // Causal, whatever it says.
  c.skip('is_decoder');
  const s = transformerSizes(c, { hidden: 6144, layers: 44, heads: 64, inner: 24_576, act: 'gelu', eps: 1e-5 });
  const fields = { base: 'rotary_emb_base', part: 'rotary_pct', absentPart: 0.25 };
  return {
    ...s,
    vocabulary: c.size('vocab_size', 50_432),
    bias: c.flag('attention_bias', true),
    isParallel: c.flag('use_parallel_residual', true),
    rotary: readRotary(c, s.hidden / s.heads, fields),
    isTied: c.flag('tie_word_embeddings', false),
  };
}

function attention(m: Module, x: Value, i: number, s: Sizes, decoding: Decoding, angles: RotaryAngles): Value {
  const { g } = m;
  const size = s.hidden / s.heads;
  // Queries, keys and values are interleaved by head.
  const packed = m.linear('query_key_value', x, 3 * s.hidden, { bias: s.bias });
  const byHead = g.Transpose(g.Reshape(packed, [0, 0, s.heads, 3 * size]), [0, 2, 1, 3]);
  const [q, k, v] = g.Split(byHead, [size, size, size], -1) as [Value, Value, Value];
  const context = decoding.attend(m, i, { q: rotated(m, q, angles), k: rotated(m, k, angles), v });
  return m.linear('dense', context, s.hidden, { bias: s.bias });
}

function block(m: Module, x: Value, i: number, s: Sizes, decoding: Decoding, angles: RotaryAngles): Value {
  const { g } = m;
  const attended = attention(m.at('attention'), m.layerNorm('input_layernorm', x, s.eps), i, s, decoding, angles);
  const sum = g.Add(attended, x);
  const normed = m.layerNorm('post_attention_layernorm', s.isParallel ? x : sum, s.eps);
  const inner = s.act(g, m.linear('mlp.dense_h_to_4h', normed, s.inner));
  return g.Add(m.linear('mlp.dense_4h_to_h', inner, s.hidden), sum);
}

export const gptNeox: Architecture = {
  modelType: 'gpt_neox',
  prefix: 'gpt_neox',
  others: /^score\.|^classifier\.|^qa_outputs\./,
  classes: {
    GPTNeoXForCausalLM: modelClass(sizes, (m, s) => {
      const n = m.at('gpt_neox');
      const decoding = new Decoding(m, { layers: s.layers, keyHeads: s.heads, headSize: s.hidden / s.heads });
      const angles = s.rotary(n.at('rotary_emb'), decoding);
      let x = n.embedding('embed_in', decoding.ids, s.vocabulary, s.hidden);
      for (const [i, each] of n.list('layers', s.layers).entries()) x = block(each, x, i, s, decoding, angles);
      x = n.layerNorm('final_layer_norm', x, s.eps);
      const table = n.parameter('embed_in.weight', [s.vocabulary, s.hidden]);
      m.graph.output('logits', vocabularyScores(m, 'embed_out', x, { table, isTied: s.isTied }));
    }),
  },
};
