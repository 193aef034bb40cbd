/** @file LLaMA and its kin: Touvron et al. 2023; Mistral: Jiang et al. 2023; Qwen2: Yang et al. 2024. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture, Graphs } from '../architecture.ts';
import type { Config } from '../checkpoint/config.ts';
import type { Activation } from '../layers/activations.ts';
import { project } from '../layers/attention.ts';
import { Decoding } from '../layers/decoder.ts';
import type { Module } from '../layers/module.ts';
import { rotated, type Turns } from '../layers/positions.ts';
import { readRotary, type Rotary } from '../layers/rotaryScaling.ts';

/** What config.json says of a decoder of LLaMA's kind. */
interface Sizes {
  readonly vocabulary: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly inner: number;
  readonly act: Activation;
  readonly eps: number;
  readonly rotary: Rotary;
  /** Biases of queries, keys and values, and of the projection behind them. */
  readonly bias: readonly [qkv: boolean, out: boolean];
  readonly mlpBias: boolean;
  readonly tied: boolean;
  /** How many tokens each layer sees; all where it is undefined. */
  readonly windows: readonly (number | undefined)[];
}

/** How the classes of this kind differ where config.json is silent. */
interface Defaults {
  readonly keyHeads?: number;
  readonly vocabulary: number;
  readonly inner: number;
  readonly positions: number;
}

function sizes(c: Config, absent: Defaults): Omit<Sizes, 'bias' | 'mlpBias' | 'windows'> {
  const heads = c.size('num_attention_heads', 32);
  const hidden = c.size('hidden_size', 4096);
  const headSize = c.size('head_dim', hidden / heads);
  return {
    vocabulary: c.size('vocab_size', absent.vocabulary),
    hidden,
    layers: c.size('num_hidden_layers', 32),
    heads,
    keyHeads: c.size('num_key_value_heads', absent.keyHeads ?? heads),
    headSize,
    inner: c.size('intermediate_size', absent.inner),
    act: c.activation('hidden_act', 'silu'),
    eps: c.number('rms_norm_eps', 1e-6),
    rotary: readRotary(c, headSize, { absentPositions: absent.positions }),
    tied: c.flag('tie_word_embeddings', false),
  };
}

function layer(m: Module, x: Value, i: number, s: Sizes, decoding: Decoding, angles: Turns): Value {
  const { heads, keyHeads, headSize } = s;
  const names = ['q_proj', 'k_proj', 'v_proj'] as const;
  const attention = m.at('self_attn');
  const normed = m.rmsNorm('input_layernorm', x, s.eps);
  const [q, k, v] = project(attention, normed, { names, heads, keyHeads, headSize, bias: s.bias[0] });
  const turned = { q: rotated(attention, q, angles), k: rotated(attention, k, angles), v };
  const context = decoding.attend(attention, i, turned, s.windows[i]);
  x = m.g.Add(x, attention.linear('o_proj', context, s.hidden, { bias: s.bias[1] }));
  return m.g.Add(x, mlp(m.at('mlp'), m.rmsNorm('post_attention_layernorm', x, s.eps), s));
}

function mlp(m: Module, x: Value, { act, inner, hidden, mlpBias: bias }: Sizes): Value {
  const gate = act(m.g, m.linear('gate_proj', x, inner, { bias }));
  return m.linear('down_proj', m.g.Mul(gate, m.linear('up_proj', x, inner, { bias })), hidden, { bias });
}

function causalLM(s: Sizes): Graphs {
  const emit = (m: Module): void => {
    const model = m.at('model');
    const decoding = new Decoding(m, s);
    const angles = s.rotary(model.at('rotary_emb'), decoding);
    let x = model.embedding('embed_tokens', decoding.ids, s.vocabulary, s.hidden);
    for (const [i, each] of model.list('layers', s.layers).entries()) x = layer(each, x, i, s, decoding, angles);
    x = model.rmsNorm('norm', x, s.eps);
    const table = model.parameter('embed_tokens.weight', [s.vocabulary, s.hidden]);
    const logits = s.tied ? m.tied('lm_head', x, table) : m.linear('lm_head', x, s.vocabulary, { bias: false });
    m.graph.output('logits', logits);
  };
  return { model: emit };
}

const others = /^score\.|^classifier\./;

export const llama: Architecture = {
  modelType: 'llama',
  prefix: 'model',
  others,
  classes: {
    LlamaForCausalLM: (c) => {
      const bias = c.flag('attention_bias', false);
      const s = sizes(c, { vocabulary: 32_000, inner: 11_008, positions: 2048 });
      return causalLM({ ...s, bias: [bias, bias], mlpBias: c.flag('mlp_bias', false), windows: [] });
    },
  },
};

export const mistral: Architecture = {
  modelType: 'mistral',
  prefix: 'model',
  others,
  classes: {
    MistralForCausalLM: (c) => {
      const s = sizes(c, { vocabulary: 32_000, inner: 14_336, positions: 131_072, keyHeads: 8 });
      const window = c.isNull('sliding_window') ? undefined : c.size('sliding_window', 4096);
      return causalLM({ ...s, bias: [false, false], mlpBias: false, windows: Array(s.layers).fill(window) as number[] });
    },
  },
};

export const qwen2: Architecture = {
  modelType: 'qwen2',
  prefix: 'model',
  others,
  classes: {
    Qwen2ForCausalLM: (c) => {
      const s = sizes(c, { vocabulary: 151_936, inner: 22_016, positions: 32_768, keyHeads: 32 });
      return causalLM({ ...s, bias: [true, false], mlpBias: false, windows: qwenWindows(c, s.layers) });
    },
  },
};

/** Which layers see only so far: as `layer_types` says, or from `max_window_layers` on. */
function qwenWindows(c: Config, layers: number): (number | undefined)[] {
  const uses = c.flag('use_sliding_window', false);
  const window = c.isNull('sliding_window') ? undefined : c.size('sliding_window', 4096);
  const from = c.whole('max_window_layers', 28);
  const types = c.raw('layer_types');
  return Array.from({ length: layers }, (_, i) => {
    const slides = Array.isArray(types) ? types[i] === 'sliding_attention' : i >= from;
    return uses && slides ? window : undefined;
  });
}
