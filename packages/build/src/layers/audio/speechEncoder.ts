/** @file The encoder of wav2vec 2.0, HuBERT and WavLM: convolutions over samples, a transformer over frames. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { selfAttention } from '../attention.ts';
import { paddingMask } from '../texts/texts.ts';
import type { Module } from '../module.ts';
import type { TransformerSizes } from '../sizes.ts';
import { convolved, positionsByConvolution, realFrames, type WaveformSizes } from './waveforms.ts';

export interface Shortening {
  readonly out: number;
  readonly kernel: number;
  readonly stride: number;
  readonly layers: number;
}

export interface SpeechSizes extends WaveformSizes, TransformerSizes {
  /** Pre-norm layers with one norm behind all; else post-norm layers with one norm before all. */
  readonly isPreNorm: boolean;
  readonly hasFeatureNorm: boolean;
  /** Width of an adapter in each layer, if any. */
  readonly adapter?: number;
  readonly shortening?: Shortening;
  /** Whether the last state that heads mix is the final norm's output. */
  readonly mixesNormed: boolean;
  readonly isMasked: boolean;
}

/** An architecture's attention: x `[batch, frames, hidden]` → the same, projected. */
export type Attention = (m: Module, x: Value, s: SpeechSizes, mask: Value | undefined) => Value;

/** Attention of Vaswani et al. */
export const plainAttention: Attention = (m, x, s, mask) => {
  const context = selfAttention(m, x, { names: ['q_proj', 'k_proj', 'v_proj'], heads: s.heads, mask });
  return m.linear('out_proj', context, s.hidden);
};

function layer(m: Module, x: Value, s: SpeechSizes, attended: (m: Module, x: Value) => Value): Value {
  const norm = (name: string, value: Value): Value => m.layerNorm(name, value, s.eps);
  const attention = (value: Value): Value => attended(m.at('attention'), value);
  if (!s.isPreNorm) {
    const y = norm('layer_norm', m.g.Add(x, attention(x)));
    return norm('final_layer_norm', m.g.Add(y, feedForward(m.at('feed_forward'), y, s)));
  }
  x = m.g.Add(x, attention(norm('layer_norm', x)));
  x = m.g.Add(x, feedForward(m.at('feed_forward'), norm('final_layer_norm', x), s));
  return s.adapter === undefined ? x : m.g.Add(x, adapter(m.at('adapter_layer'), x, s.adapter));
}

function feedForward(m: Module, x: Value, { act, inner, hidden }: SpeechSizes): Value {
  return m.linear('output_dense', act(m.g, m.linear('intermediate_dense', x, inner)), hidden);
}

/** Language adapter: Pratap et al. 2023, "Scaling speech technology to 1,000+ languages". */
function adapter(m: Module, x: Value, width: number): Value {
  const narrow = m.g.Relu(m.linear('linear_1', m.layerNorm('norm', x, 1e-5), width));
  return m.linear('linear_2', narrow, Number(x.shape!.at(-1)));
}

/** Shortens x `[batch, frames, hidden]` by gated strided convolutions: `[batch, fewer frames, out]`. */
function shortened(m: Module, x: Value, { out, kernel, stride, layers }: Shortening): Value {
  const { g } = m;
  const isNarrowed = out !== Number(x.shape!.at(-1));
  const narrow = isNarrowed ? m.layerNorm('proj_layer_norm', m.linear('proj', x, out), 1e-5) : x;
  let y = g.Transpose(narrow, [0, 2, 1]);
  for (const each of m.list('layers', layers)) {
    const wide = each.conv('conv', y, { out: 2 * out, kernel: [kernel], strides: [stride], pads: [1] });
    const [value, gate] = g.Split(wide, [out, out], 1) as [Value, Value];
    y = g.Mul(value, g.Sigmoid(gate));
  }
  return g.Transpose(y, [0, 2, 1]);
}

export interface Speech {
  /** Inputs of each layer and the last output, all `[batch, frames, hidden]`. */
  readonly states: readonly Value[];
  /** The last state, shortened if the model does so. */
  readonly last: Value;
  /** Mask of real frames, int64 `[batch, frames]`. */
  readonly real: Value | undefined;
}

/** Encodes waveforms; declares the inputs. `attention` is called once, with the first layer's module and the states. */
export function speech(m: Module, s: SpeechSizes, attention: (first: Module, x: Value) => Attention): Speech {
  const { g } = m;
  const clip = ['batch_size', 'sequence_length'] as const;
  const samples = m.graph.input('input_values', 'float32', clip);
  const features = convolved(m.at('feature_extractor'), samples, s);
  const real = s.isMasked ? realFrames(m, m.graph.input('attention_mask', 'int64', clip), features, s) : undefined;
  const projection = m.at('feature_projection');
  const normed = s.hasFeatureNorm ? projection.layerNorm('layer_norm', features, s.eps) : features;
  let x = projection.linear('projection', normed, s.hidden);
  if (real) x = g.Mul(x, m.floats(g.Unsqueeze(real, [2])));
  const encoder = m.at('encoder');
  x = g.Add(x, positionsByConvolution(encoder.at('pos_conv_embed'), x, s));
  const norm = (value: Value): Value => encoder.layerNorm('layer_norm', value, s.eps);
  if (!s.isPreNorm) x = norm(x);
  const mask = real && paddingMask(m, real);
  const attend = attention(encoder.at('layers.0.attention'), x);
  const states: Value[] = [];
  for (const each of encoder.list('layers', s.layers)) {
    states.push(x);
    x = layer(each, x, s, (inner, value) => attend(inner, value, s, mask));
  }
  const raw = x;
  if (s.isPreNorm) x = norm(x);
  return {
    states: [...states, s.mixesNormed ? x : raw],
    last: s.shortening ? shortened(m.at('adapter'), x, s.shortening) : x,
    real,
  };
}

/** Mixes layers as the heads of SUPERB do (Yang et al. 2021): the mean of states `[batch, length, width]`, weighted by `layer_weights`. */
export function weightedSum(m: Module, states: readonly Value[]): Value {
  const { g } = m;
  const weights = g.Softmax(m.parameter('layer_weights', [states.length]), 0);
  const parts = states.map((each, i) => g.Mul(each, g.Slice(weights, [i], [i + 1], [0])));
  return parts.reduce((sum, each) => g.Add(sum, each));
}
