/** @file Moonshine: Jeffries et al. 2024, "Moonshine: speech recognition for live transcription and voice commands". */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { type Activation, gelu } from '../../layers/activations.ts';
import { attend, splitHeads } from '../../layers/attention.ts';
import {
  decoderGraphs,
  type CacheInputs,
  type CacheOutputs,
  type KeysAndValues,
  placesOf,
  wholeModel,
  withPast,
} from '../../layers/texts/encoderDecoder.ts';
import { vocabularyScores } from '../../layers/heads.ts';
import type { Module } from '../../layers/module.ts';
import { rotatedPairs, type RotaryAngles } from '../../layers/texts/positions.ts';
import { readRotary, type Rotary } from '../../layers/texts/rotaryScaling.ts';

interface Sizes {
  readonly vocabulary: number;
  readonly hidden: number;
  readonly inner: number;
  readonly heads: number;
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  readonly encoderAct: Activation;
  readonly decoderAct: Activation;
  /** For queries, keys and values. */
  readonly bias: boolean;
  readonly rotary: Rotary;
  readonly tied: boolean;
}

const EPSILON = 1e-5;

function sizes(c: Config): Sizes {
  // Pads heads with zeros for faster kernels.
  c.skip('pad_head_dim_to_multiple_of');
  const hidden = c.size('hidden_size', 288);
  const heads = c.size('decoder_num_attention_heads', c.size('num_attention_heads', 8));
  // torch's model uses one number of heads throughout.
  c.only('head_dim', hidden / heads, null);
  c.only('encoder_num_attention_heads', heads);
  c.only('encoder_num_key_value_heads', heads, null);
  c.only('decoder_num_key_value_heads', heads, null);
  c.only('num_key_value_heads', heads, null);
  return {
    vocabulary: c.size('vocab_size', 32768),
    hidden,
    inner: c.size('intermediate_size', 1152),
    heads,
    encoderLayers: c.size('encoder_num_hidden_layers', 6),
    decoderLayers: c.size('decoder_num_hidden_layers', c.size('num_hidden_layers', 6)),
    encoderAct: c.activation('encoder_hidden_act', 'gelu'),
    decoderAct: c.activation('decoder_hidden_act', 'silu'),
    bias: c.flag('attention_bias', false),
    rotary: readRotary(c, hidden / heads, { absentPart: 0.9, absentPositions: 512 }),
    tied: c.flag('tie_word_embeddings', true),
  };
}

function norm(m: Module, name: string, x: Value): Value {
  return m.layerNorm(name, x, EPSILON, { bias: false });
}

/** Inputs of attention besides the queries: `from` yields keys and values, `past` is their cache. */
interface Source {
  readonly from?: Value | undefined;
  readonly past?: KeysAndValues | undefined;
  /** Rotary angles of self-attention. */
  readonly angles?: RotaryAngles;
  readonly mask?: Value;
}

function attention(
  m: Module,
  x: Value,
  s: Sizes,
  { from, past, angles, mask }: Source,
): [attended: Value, kept: KeysAndValues] {
  const by = (name: string, of: Value): Value => splitHeads(m, m.linear(name, of, s.hidden, { bias: s.bias }), s.heads);
  const turned = (each: Value): Value => (angles ? rotatedPairs(m, each, angles) : each);
  const [k, v] = withPast(m, past, from && [turned(by('k_proj', from)), by('v_proj', from)]);
  const context = attend(m, { q: turned(by('q_proj', x)), k, v, mask });
  return [m.linear('o_proj', context, s.hidden, { bias: false }), [k, v]];
}

/** Samples `[batch, samples]` → `[batch, frames, hidden]`. */
function features(m: Module, samples: Value, hidden: number): Value {
  const { g } = m;
  const wide = { out: hidden, kernel: [127], strides: [64], bias: false };
  let x = m.groupNorm('groupnorm', g.Tanh(m.conv('conv1', g.Unsqueeze(samples, [1]), wide)), 1, EPSILON);
  x = gelu(g, m.conv('conv2', x, { out: 2 * hidden, kernel: [7], strides: [3] }));
  x = gelu(g, m.conv('conv3', x, { out: hidden, kernel: [3], strides: [2] }));
  return g.Transpose(x, [0, 2, 1]);
}

function encoder(m: Module, s: Sizes): Value {
  const samples = m.graph.input('input_values', 'float32', ['batch_size', 'num_samples']);
  let x = features(m, samples, s.hidden);
  const total = m.sizeOf(x, 1);
  const angles = s.rotary(m, { positions: m.g.Unsqueeze(m.range(0, total), [0]), total });
  for (const layer of m.list('layers', s.encoderLayers)) {
    const from = norm(layer, 'input_layernorm', x);
    x = layer.g.Add(x, attention(layer.at('self_attn'), from, s, { from, angles })[0]);
    const inner = layer.linear('mlp.fc1', norm(layer, 'post_attention_layernorm', x), s.inner);
    x = layer.g.Add(x, layer.linear('mlp.fc2', s.encoderAct(layer.g, inner), s.hidden));
  }
  return norm(m, 'layer_norm', x);
}

function decoder(m: Module, given: CacheInputs, s: Sizes): [logits: Value, kept: CacheOutputs[]] {
  const base = m.at('model.decoder');
  const { places, total, mask } = placesOf(base, given);
  const angles = s.rotary(base, { positions: m.g.Unsqueeze(places, [0]), total });
  let x = base.embedding('embed_tokens', given.ids, s.vocabulary, s.hidden);
  const kept = base.list('layers', s.decoderLayers).map((layer, i) => {
    const { g } = layer;
    const past = given.pasts?.[i];
    const from = norm(layer, 'input_layernorm', x);
    const [own, tokens] = attention(layer.at('self_attn'), from, s, { from, past: past?.decoder, angles, mask });
    x = g.Add(x, own);
    const sources = { from: given.encoded, past: past?.encoder };
    const [across, frames] = attention(
      layer.at('encoder_attn'),
      norm(layer, 'post_attention_layernorm', x),
      s,
      sources,
    );
    x = g.Add(x, across);
    const wide = layer.linear('mlp.fc1', norm(layer, 'final_layernorm', x), 2 * s.inner);
    const [value, gate] = g.Split(wide, [s.inner, s.inner], -1) as [Value, Value];
    x = g.Add(x, layer.linear('mlp.fc2', g.Mul(s.decoderAct(g, gate), value), s.hidden));
    return { decoder: tokens, encoder: frames };
  });
  x = norm(base, 'norm', x);
  const table = base.parameter('embed_tokens.weight', [s.vocabulary, s.hidden]);
  return [vocabularyScores(m, 'proj_out', x, { table, isTied: s.tied }), kept];
}

/** Like an Optimum export, without a mask over samples. */
export const moonshine: Architecture = {
  modelType: 'moonshine',
  prefix: 'model',
  others: /^proj_out\./,
  classes: {
    MoonshineForConditionalGeneration: (c) => {
      const s = sizes(c);
      const { heads, hidden } = s;
      const kept = { layers: s.decoderLayers, keyHeads: heads, headSize: hidden / heads, encoded: hidden };
      const encoded = (m: Module): Value => encoder(m.at('model.encoder'), s);
      return {
        encoder_model: (m) => m.graph.output('last_hidden_state', encoded(m)),
        ...decoderGraphs(kept, (m, given) => decoder(m, given, s)),
        model: (m) => wholeModel(m, encoded(m), (of, given) => decoder(of, given, s)),
      };
    },
  },
};
