/** @file Phi-3: Abdin et al. 2024. LLaMA's layers with joined projections. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import { splitHeads } from '../../layers/attention.ts';
import type { Module } from '../../layers/module.ts';
import { rotated } from '../../layers/texts/positions.ts';
import { causalArchitecture, everyLayer, llamaCausalLM, type LlamaLayer, llamaSizes, slidingWindow } from './llama.ts';

export const phi3: Architecture = causalArchitecture('phi3', 'Phi3', (c) => {
  const s = llamaSizes(c, { vocabulary: 32_064, hidden: 3072, inner: 8192, positions: 4096, eps: 1e-5 });
  return llamaCausalLM({ ...s, windows: everyLayer(s, slidingWindow(c, undefined)) }, phi3Layer);
});

function phi3Layer(m: Module, x: Value, { i, s, decoding, angles }: LlamaLayer): Value {
  const { g } = m;
  const none = { bias: false };
  const a = m.at('self_attn');
  const [queries, keys] = [s.heads * s.headSize, s.keyHeads * s.headSize];
  const packed = a.linear('qkv_proj', m.rmsNorm('input_layernorm', x, s.eps), queries + 2 * keys, none);
  const [q, k, v] = a.g.Split(packed, [queries, keys, keys], -1) as [Value, Value, Value];
  const turned = {
    q: rotated(a, splitHeads(a, q, s.heads), angles),
    k: rotated(a, splitHeads(a, k, s.keyHeads), angles),
    v: splitHeads(a, v, s.keyHeads),
  };
  x = g.Add(x, a.linear('o_proj', decoding.attend(a, i, turned, s.windows[i]), s.hidden, none));
  const both = m.linear('mlp.gate_up_proj', m.rmsNorm('post_attention_layernorm', x, s.eps), 2 * s.inner, none);
  const [gate, up] = g.Split(both, [s.inner, s.inner], -1) as [Value, Value];
  return g.Add(x, m.linear('mlp.down_proj', g.Mul(up, s.act(g, gate)), s.hidden, none));
}
