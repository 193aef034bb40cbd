/** @file LLaMA: Touvron et al. 2023; Mistral: Jiang et al. 2023; Qwen2 and Qwen3: Yang et al. 2024 and 2025. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture, Graphs } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../../layers/activations.ts';
import { capped, project } from '../../layers/attention.ts';
import { Decoding } from '../../layers/texts/decoder.ts';
import type { Module } from '../../layers/module.ts';
import { rotated, type Turns } from '../../layers/texts/positions.ts';
import { readRotary, type Rotary } from '../../layers/texts/rotaryScaling.ts';
import { tableOf } from '../../layers/bounds.ts';

/** What config.json says of a decoder of LLaMA's kind. */
export interface LlamaSizes {
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
  readonly isTied: boolean;
  /** Biases of queries, keys and values, and of the projection behind them. */
  readonly bias: readonly [qkv: boolean, out: boolean];
  readonly mlpBias: boolean;
  /** How many tokens each layer sees; all where it is undefined. */
  readonly windows: readonly (number | undefined)[];
  /** Whether queries and keys are normed, head by head. */
  readonly normsHeads: boolean;
  /** What embeddings are multiplied by. */
  readonly embedScale: number;
  /** What norms add to their weights. */
  readonly normPlus: number;
  /** Logits are kept between this and its negative. */
  readonly finalCap: number | undefined;
}

/** What holds where config.json is silent. */
export interface LlamaDefaults {
  readonly vocabulary?: number;
  readonly hidden?: number;
  readonly layers?: number;
  readonly heads?: number;
  readonly inner?: number;
  readonly positions?: number;
  readonly keyHeads?: number;
  readonly headSize?: number;
  readonly activation?: readonly [field: string, name: string];
  readonly isTied?: boolean;
  readonly eps?: number;
}

/** Reads the fields that all of the kind have; the rest is as in LLaMA. */
export function llamaSizes(c: Config, absent: LlamaDefaults = {}): LlamaSizes {
  const heads = c.size('num_attention_heads', absent.heads ?? 32);
  const hidden = c.size('hidden_size', absent.hidden ?? 4096);
  const headSize = c.has('head_dim') ? c.size('head_dim') : (absent.headSize ?? hidden / c.divisor('num_attention_heads', hidden, heads)); // prettier-ignore
  const [field, name] = absent.activation ?? ['hidden_act', 'silu'];
  return {
    vocabulary: c.size('vocab_size', absent.vocabulary ?? 32_000),
    hidden,
    layers: c.size('num_hidden_layers', absent.layers ?? 32),
    heads,
    keyHeads: c.divisor('num_key_value_heads', heads, absent.keyHeads ?? heads),
    headSize,
    inner: c.size('intermediate_size', absent.inner ?? 11_008),
    act: c.activation(field, name),
    eps: c.number('rms_norm_eps', absent.eps ?? 1e-6),
    rotary: readRotary(c, headSize, { absentPositions: absent.positions ?? 2048 }),
    isTied: c.flag('tie_word_embeddings', absent.isTied ?? false),
    bias: [false, false],
    mlpBias: false,
    windows: [],
    normsHeads: false,
    embedScale: 1,
    normPlus: 0,
    finalCap: undefined,
  };
}

/** A layer's place and what all layers share. */
export interface LlamaLayer<S extends LlamaSizes = LlamaSizes> {
  readonly i: number;
  readonly s: S;
  readonly decoding: Decoding;
  readonly angles: Turns;
}

/** Attention on what came before, without the projection behind it. */
function llamaAttention(m: Module, x: Value, { i, s, decoding, angles }: LlamaLayer): Value {
  const { heads, keyHeads, headSize } = s;
  const [q, k, v] = project(m, x, {
    names: ['q_proj', 'k_proj', 'v_proj'],
    heads,
    keyHeads,
    headSize,
    bias: s.bias[0],
  });
  const normed = (name: string, y: Value): Value => (s.normsHeads ? m.rmsNorm(name, y, s.eps, s.normPlus) : y);
  const turned = { q: rotated(m, normed('q_norm', q), angles), k: rotated(m, normed('k_norm', k), angles), v };
  return decoding.attend(m, i, turned, s.windows[i]);
}

/** The gated layer of Shazeer 2020. */
export function gatedMlp(m: Module, x: Value, { act, inner, hidden, mlpBias: bias }: LlamaSizes): Value {
  const gate = act(m.g, m.linear('gate_proj', x, inner, { bias }));
  return m.linear('down_proj', m.g.Mul(gate, m.linear('up_proj', x, inner, { bias })), hidden, { bias });
}

function llamaLayer(m: Module, x: Value, layer: LlamaLayer): Value {
  const { s } = layer;
  const attention = m.at('self_attn');
  const context = llamaAttention(attention, m.rmsNorm('input_layernorm', x, s.eps, s.normPlus), layer);
  x = m.g.Add(x, attention.linear('o_proj', context, s.hidden, { bias: s.bias[1] }));
  return m.g.Add(x, gatedMlp(m.at('mlp'), m.rmsNorm('post_attention_layernorm', x, s.eps, s.normPlus), s));
}

/** Embeddings, layers, a norm, and a score for each token of the vocabulary. */
export function llamaCausalLM<S extends LlamaSizes>(
  s: S,
  layer: (m: Module, x: Value, layer: LlamaLayer<S>) => Value = llamaLayer,
): Graphs {
  const emit = (m: Module): void => {
    const model = m.at('model');
    const decoding = new Decoding(m, s);
    const angles = s.rotary(model.at('rotary_emb'), decoding);
    let x = model.embedding('embed_tokens', decoding.ids, s.vocabulary, s.hidden);
    if (s.embedScale !== 1) x = model.g.Mul(x, s.embedScale);
    for (const [i, each] of model.list('layers', s.layers).entries()) x = layer(each, x, { i, s, decoding, angles });
    x = model.rmsNorm('norm', x, s.eps, s.normPlus);
    const table = model.parameter('embed_tokens.weight', [s.vocabulary, s.hidden]);
    const logits = s.isTied ? m.tied('lm_head', x, table) : m.linear('lm_head', x, s.vocabulary, { bias: false });
    m.graph.output('logits', s.finalCap === undefined ? logits : capped(m, logits, s.finalCap));
  };
  return { model: emit };
}

/** An architecture of LLaMA's kind with its class of a language model. */
export function causalArchitecture(modelType: string, name: string, read: (c: Config) => Graphs): Architecture {
  return {
    modelType,
    prefix: 'model',
    others: /^score\.|^classifier\.|^qa_outputs\./,
    classes: { [`${name}ForCausalLM`]: read },
  };
}

export const llama: Architecture = causalArchitecture('llama', 'Llama', (c) => {
  const bias = c.flag('attention_bias', false);
  return llamaCausalLM({ ...llamaSizes(c), bias: [bias, bias], mlpBias: c.flag('mlp_bias', false) });
});

export const mistral: Architecture = causalArchitecture('mistral', 'Mistral', (c) => {
  const s = llamaSizes(c, { inner: 14_336, positions: 131_072, keyHeads: 8 });
  return llamaCausalLM({ ...s, windows: everyLayer(s, slidingWindow(c, 4096)) });
});

export const qwen2: Architecture = causalArchitecture('qwen2', 'Qwen2', (c) => {
  const s = llamaSizes(c, { vocabulary: 151_936, inner: 22_016, positions: 32_768, keyHeads: 32 });
  return llamaCausalLM({ ...s, bias: [true, false], windows: qwenWindows(c, s.layers) });
});

export const qwen3: Architecture = causalArchitecture('qwen3', 'Qwen3', (c) => {
  const s = llamaSizes(c, { vocabulary: 151_936, inner: 22_016, positions: 32_768, keyHeads: 32, headSize: 128 });
  const bias = c.flag('attention_bias', false);
  return llamaCausalLM({ ...s, bias: [bias, bias], normsHeads: true, windows: qwenWindows(c, s.layers) });
});

/** `sliding_window`; null means that there is none. */
export function slidingWindow(c: Config, absent: number | undefined): number | undefined {
  return c.isNull('sliding_window') || (absent === undefined && !c.has('sliding_window')) ? undefined : c.size('sliding_window', absent); // prettier-ignore
}

/** The same window in every layer. */
export function everyLayer({ layers }: LlamaSizes, window: number | undefined): (number | undefined)[] {
  return tableOf(layers, () => window);
}

/** How far each layer sees: `window` in those that slide, as `layer_types` says, else as `slides` does. */
export function windowsByType(
  c: Config,
  layers: number,
  window: () => number | undefined,
  slides: (i: number) => boolean,
): (number | undefined)[] {
  const said = c.raw('layer_types');
  const types = said ?? tableOf(layers, (i) => (slides(i) ? SLIDING : FULL));
  if (!Array.isArray(types) || types.length !== layers || !types.every((type) => type === SLIDING || type === FULL)) {
    throw c.unsupported('layer_types', `It must name ${FULL} or ${SLIDING} for each layer.`);
  }
  const wide = types.includes(SLIDING) ? window() : undefined;
  return types.map((type) => (type === SLIDING ? wide : undefined));
}

const SLIDING = 'sliding_attention';
const FULL = 'full_attention';

function qwenWindows(c: Config, layers: number): (number | undefined)[] {
  c.skip('sliding_window', 'max_window_layers', 'use_sliding_window');
  const uses = !c.has('layer_types') && c.flag('use_sliding_window', false);
  const from = uses ? c.whole('max_window_layers', 28) : layers;
  return windowsByType(
    c,
    layers,
    () => slidingWindow(c, 4096),
    (i) => i >= from,
  );
}
