/** @file LLaMA: Touvron et al. 2023; Mistral: Jiang et al. 2023; Qwen2 and Qwen3: Yang et al. 2024 and 2025. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture, Graphs } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { capped, project } from '../../layers/attention.ts';
import { Decoding } from '../../layers/texts/decoder.ts';
import { vocabularyScores } from '../../layers/heads.ts';
import type { Module } from '../../layers/module.ts';
import type { SizeDefaults, TransformerSizes } from '../../layers/sizes.ts';
import { rotated, type RotaryAngles } from '../../layers/texts/positions.ts';
import { readRotary, type Rotary } from '../../layers/texts/rotaryScaling.ts';
import { tableOf } from '../../layers/bounds.ts';

export interface LlamaSizes extends TransformerSizes {
  readonly vocabulary: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly rotary: Rotary;
  readonly isTied: boolean;
  /** Biases of q, k, v and of the output projection. */
  readonly bias: readonly [qkv: boolean, out: boolean];
  readonly mlpBias: boolean;
  /** Visible tokens per layer; undefined is all. */
  readonly windows: readonly (number | undefined)[];
  /** Norms on queries and keys per head. */
  readonly normsHeads: boolean;
  readonly embedScale: number;
  /** Addend of norm weights. */
  readonly normPlus: number;
  readonly finalCap: number | undefined;
  /** Factor of attention scores; 1 ÷ √(head size) by default. */
  readonly scale?: number;
  /** Factor of both residual branches; 1 by default. */
  readonly branchScale?: number;
  /** Divisor of logits; 1 by default. */
  readonly logitDivisor?: number;
  /** Whether each layer is rotary; all by default. */
  readonly turns?: readonly boolean[];
}

export interface LlamaDefaults extends Partial<Omit<SizeDefaults, 'act'>> {
  readonly vocabulary?: number;
  readonly positions?: number;
  readonly base?: number;
  readonly keyHeads?: number;
  readonly headSize?: number;
  readonly activation?: readonly [field: string, name: string];
  readonly isTied?: boolean;
}

/** Reads the common fields; the rest is as in LLaMA. */
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
    rotary: readRotary(c, headSize, {
      absentPositions: absent.positions ?? 2048,
      ...(absent.base === undefined ? {} : { absentBase: absent.base }),
    }),
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

export interface LlamaLayer<S extends LlamaSizes = LlamaSizes> {
  readonly i: number;
  readonly s: S;
  readonly decoding: Decoding;
  readonly angles: RotaryAngles;
}

function llamaAttention(m: Module, x: Value, { i, s, decoding, angles }: LlamaLayer): Value {
  const { heads: count, keyHeads, headSize } = s;
  const names = ['q_proj', 'k_proj', 'v_proj'] as const;
  const [q, k, v] = project(m, x, { names, heads: count, keyHeads, headSize, bias: s.bias[0] });
  const normed = (name: string, y: Value): Value => (s.normsHeads ? m.rmsNorm(name, y, s.eps, s.normPlus) : y);
  const turned = (y: Value): Value => (s.turns?.[i] === false ? y : rotated(m, y, angles));
  const heads = { q: turned(normed('q_norm', q)), k: turned(normed('k_norm', k)), v };
  return decoding.attend(m, i, s.scale === undefined ? heads : { ...heads, scale: s.scale }, s.windows[i]);
}

/** Gated MLP: Shazeer 2020. */
export function gatedMlp(m: Module, x: Value, { act, inner, hidden, mlpBias: bias }: LlamaSizes): Value {
  const gate = act(m.g, m.linear('gate_proj', x, inner, { bias }));
  return m.linear('down_proj', m.g.Mul(gate, m.linear('up_proj', x, inner, { bias })), hidden, { bias });
}

function scaled({ g }: Module, x: Value, by = 1): Value {
  return by === 1 ? x : g.Mul(x, by);
}

function llamaLayer(m: Module, x: Value, layer: LlamaLayer): Value {
  const { s } = layer;
  const attention = m.at('self_attn');
  const context = llamaAttention(attention, m.rmsNorm('input_layernorm', x, s.eps, s.normPlus), layer);
  const added = (to: Value, branch: Value): Value => m.g.Add(to, scaled(m, branch, s.branchScale));
  x = added(x, attention.linear('o_proj', context, s.hidden, { bias: s.bias[1] }));
  return added(x, gatedMlp(m.at('mlp'), m.rmsNorm('post_attention_layernorm', x, s.eps, s.normPlus), s));
}

/** Embeddings, layers, norm, vocabulary scores. */
export function llamaCausalLM<S extends LlamaSizes>(
  s: S,
  layer: (m: Module, x: Value, layer: LlamaLayer<S>) => Value = llamaLayer,
): Graphs {
  const emit = (m: Module): void => {
    const model = m.at('model');
    const decoding = new Decoding(m, s);
    const angles = s.rotary(model.at('rotary_emb'), decoding);
    let x = scaled(model, model.embedding('embed_tokens', decoding.ids, s.vocabulary, s.hidden), s.embedScale);
    for (const [i, each] of model.list('layers', s.layers).entries()) x = layer(each, x, { i, s, decoding, angles });
    x = model.rmsNorm('norm', x, s.eps, s.normPlus);
    const table = model.parameter('embed_tokens.weight', [s.vocabulary, s.hidden]);
    const raw = vocabularyScores(m, 'lm_head', x, { table, isTied: s.isTied });
    const logits = s.logitDivisor === undefined ? raw : m.g.Div(raw, s.logitDivisor);
    m.graph.output('logits', s.finalCap === undefined ? logits : capped(m, logits, s.finalCap));
  };
  return { model: emit };
}

/** An architecture of LLaMA's kind with its language model class. */
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

export const ministral: Architecture = causalArchitecture('ministral', 'Ministral', (c) => {
  const s = llamaSizes(c, { inner: 14_336, positions: 131_072, keyHeads: 8 });
  const isSliding = (): boolean => !c.isNull('sliding_window');
  return llamaCausalLM({ ...s, windows: windowsByType(c, s.layers, () => slidingWindow(c, 4096), isSliding) });
});

/** Seed-OSS: ByteDance 2025. */
export const seedOss: Architecture = causalArchitecture('seed_oss', 'SeedOss', (c) => {
  const s = llamaSizes(c, { vocabulary: 155_136, inner: 27_648, layers: 64, heads: 80, keyHeads: 8, headSize: 128, positions: 524_288 }); // prettier-ignore
  const bias = [c.flag('attention_bias', true), c.flag('attention_out_bias', false)] as const;
  return llamaCausalLM({ ...s, bias, mlpBias: c.flag('mlp_bias', false) });
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

/** SmolLM3: Hugging Face 2025. LLaMA without rotary embeddings in every fourth layer. */
export const smollm3: Architecture = causalArchitecture('smollm3', 'SmolLM3', (c) => {
  const s = llamaSizes(c, { vocabulary: 128_256, hidden: 2048, layers: 36, heads: 16, keyHeads: 4, positions: 32_768, base: 2_000_000, isTied: true }); // prettier-ignore
  const bias = c.flag('attention_bias', false);
  c.skip('no_rope_layers', 'no_rope_layer_interval');
  const every = (): number => c.size('no_rope_layer_interval', 4);
  const said = c.has('no_rope_layers') ? c.numbers('no_rope_layers') : tableOf(s.layers, (i) => (i + 1) % every());
  if (said.length !== s.layers) throw c.unsupported('no_rope_layers', `There are ${s.layers} layers.`);
  const turns = said.map((each) => each !== 0);
  const slides = c.flag('use_sliding_window', false) && c.has('sliding_window');
  const windows = windowsByType(c, s.layers, () => slidingWindow(c, undefined), (i) => slides && !turns[i]!); // prettier-ignore
  return llamaCausalLM({ ...s, bias: [bias, bias], mlpBias: c.flag('mlp_bias', false), turns, windows });
});

/** Granite 3: IBM 2024. LLaMA with scaling factors from the config. */
export const granite: Architecture = causalArchitecture('granite', 'Granite', (c) => {
  const bias = c.flag('attention_bias', false);
  return llamaCausalLM({
    ...llamaSizes(c),
    bias: [bias, bias],
    mlpBias: c.flag('mlp_bias', false),
    embedScale: c.number('embedding_multiplier', 1),
    scale: c.number('attention_multiplier', 1),
    branchScale: c.number('residual_multiplier', 1),
    logitDivisor: c.number('logits_scaling', 1),
  });
});

/** `sliding_window`; null is none. */
export function slidingWindow(c: Config, absent: number | undefined): number | undefined {
  return c.isNull('sliding_window') || (absent === undefined && !c.has('sliding_window')) ? undefined : c.size('sliding_window', absent); // prettier-ignore
}

export function everyLayer({ layers }: LlamaSizes, window: number | undefined): (number | undefined)[] {
  return tableOf(layers, () => window);
}

/** Window per layer: by `layer_types`, or else by `slides`. */
export function windowsByType(
  c: Config,
  layers: number,
  window: () => number | undefined,
  slides: (i: number) => boolean,
): (number | undefined)[] {
  c.skip('sliding_window');
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
  c.skip('max_window_layers', 'use_sliding_window');
  const uses = !c.has('layer_types') && c.flag('use_sliding_window', false);
  const from = uses ? c.whole('max_window_layers', 28) : layers;
  return windowsByType(
    c,
    layers,
    () => slidingWindow(c, 4096),
    (i) => i >= from,
  );
}
