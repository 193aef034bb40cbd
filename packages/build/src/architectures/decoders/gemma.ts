/** @file Gemma: Mesnard et al. 2024; Gemma 2: Riviere et al. 2024. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Module } from '../../layers/module.ts';
import { project } from '../../layers/attention.ts';
import { rotated } from '../../layers/texts/positions.ts';
import {
  causalArchitecture,
  gatedMlp,
  llamaCausalLM,
  type LlamaLayer,
  type LlamaDefaults,
  llamaSizes,
  type LlamaSizes,
  slidingWindow,
  windowsByType,
} from './llama.ts';

interface Gemma2Sizes extends LlamaSizes {
  readonly scale: number;
  readonly cap: number | undefined;
}

const absent: LlamaDefaults = { vocabulary: 256_000, positions: 8192, headSize: 256, isTied: true };

/** Scales embeddings by √hidden; norms add 1 to their weights. */
function gemmaSizes(c: Config, own: LlamaDefaults): LlamaSizes {
  const s = llamaSizes(c, { ...absent, ...own });
  const bias = c.flag('attention_bias', false);
  return { ...s, bias: [bias, bias], embedScale: Math.sqrt(s.hidden), normPlus: 1 };
}

export const gemma: Architecture = causalArchitecture('gemma', 'Gemma', (c) => {
  // `hidden_act` of older configs is not the activation of the training.
  const field = c.has('hidden_activation') ? 'hidden_activation' : 'hidden_act';
  c.skip('hidden_act', 'hidden_activation');
  c.only('use_bidirectional_attention', undefined, false);
  return llamaCausalLM(
    gemmaSizes(c, {
      hidden: 3072,
      layers: 28,
      heads: 16,
      keyHeads: 16,
      inner: 24_576,
      activation: [field, 'gelu_pytorch_tanh'],
    }),
  );
});

function optional(c: Config, name: string, silent: number): number | undefined {
  return c.isNull(name) ? undefined : c.number(name, silent);
}

export const gemma2: Architecture = causalArchitecture('gemma2', 'Gemma2', (c) => {
  c.skip('hidden_act');
  c.only('use_bidirectional_attention', undefined, false);
  const activation = ['hidden_activation', 'gelu_pytorch_tanh'] as const;
  const s = gemmaSizes(c, { hidden: 2304, layers: 26, heads: 8, keyHeads: 4, inner: 9216, activation });
  const windows = windowsByType(
    c,
    s.layers,
    () => slidingWindow(c, 4096),
    (i) => i % 2 === 0,
  );
  const scale = c.number('query_pre_attn_scalar', 256) ** -0.5;
  const [cap, finalCap] = [optional(c, 'attn_logit_softcapping', 50), optional(c, 'final_logit_softcapping', 30)];
  return llamaCausalLM<Gemma2Sizes>({ ...s, windows, scale, cap, finalCap }, gemma2Layer);
});

function gemma2Layer(m: Module, x: Value, { i, s, decoding, angles }: LlamaLayer<Gemma2Sizes>): Value {
  const { heads, keyHeads, headSize, scale, cap } = s;
  const norm = (name: string, y: Value): Value => m.rmsNorm(name, y, s.eps, s.normPlus);
  const a = m.at('self_attn');
  const names = ['q_proj', 'k_proj', 'v_proj'] as const;
  const [q, k, v] = project(a, norm('input_layernorm', x), { names, heads, keyHeads, headSize, bias: s.bias[0] });
  const turned = { q: rotated(a, q, angles), k: rotated(a, k, angles), v, scale, cap };
  const attended = a.linear('o_proj', decoding.attend(a, i, turned, s.windows[i]), s.hidden, { bias: s.bias[1] });
  x = m.g.Add(x, norm('post_attention_layernorm', attended));
  const inner = gatedMlp(m.at('mlp'), norm('pre_feedforward_layernorm', x), s);
  return m.g.Add(x, norm('post_feedforward_layernorm', inner));
}
