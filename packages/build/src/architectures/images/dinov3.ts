/** @file DINOv3's vision transformer: Siméoni et al. 2025. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { float32 } from '@onnx-lora/sdk';
import { type Architecture, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { attend, project } from '../../layers/attention.ts';
import { asSequence, pixelValues, withTokens } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';
import type { TransformerSizes } from '../../layers/sizes.ts';
import { rotated, type RotaryAngles } from '../../layers/texts/positions.ts';

interface Sizes extends TransformerSizes {
  readonly isGated: boolean;
  readonly bias: readonly [boolean, boolean, boolean];
  readonly outBias: boolean;
  readonly mlpBias: boolean;
  readonly channels: number;
  readonly patch: readonly [number, number];
  readonly registers: number;
  /** Angle per pair of a head's numbers. */
  readonly frequencies: Float32Array;
}

function sizes(c: Config): Sizes {
  // Images are of any size; the rest is for training and backbones.
  c.skip('image_size', 'layerscale_value', 'pos_embed_shift', 'pos_embed_jitter', 'pos_embed_rescale');
  c.skip(
    'apply_layernorm',
    'reshape_hidden_states',
    'return_class_token',
    'out_features',
    'out_indices',
    'stage_names',
  );
  const [hidden, base] = [c.size('hidden_size', 384), c.number('rope_theta', 100)];
  // A head rotates in pairs, half of them by rows.
  const heads = c.divisor('num_attention_heads', hidden / 4, 6);
  const pairs = hidden / 4 / heads;
  return {
    hidden,
    layers: c.size('num_hidden_layers', 12),
    heads,
    inner: c.size('intermediate_size', 1536),
    isGated: c.flag('use_gated_mlp', false),
    act: c.activation('hidden_act', 'gelu'),
    eps: c.number('layer_norm_eps', 1e-5),
    bias: [c.flag('query_bias', true), c.flag('key_bias', false), c.flag('value_bias', true)],
    outBias: c.flag('proj_bias', true),
    mlpBias: c.flag('mlp_bias', true),
    channels: c.size('num_channels', 3),
    patch: c.pair('patch_size', 16),
    registers: c.whole('num_register_tokens', 0),
    frequencies: Float32Array.from({ length: pairs }, (_, i) => (2 * Math.PI) / Math.fround(base ** (i / pairs))),
  };
}

/** Rotary angles of places, rows before columns; prepended tokens do not rotate. */
function turnsOf(m: Module, map: Value, s: Sizes): RotaryAngles {
  const { g } = m;
  const inverse = g.constant(float32(s.frequencies, [s.frequencies.length]));
  const sizes = g.Shape(map);
  // From -1 to 1 along an axis, at patch centres.
  const angles = [2, 3].map((axis) => {
    const size = g.Slice(sizes, [axis], [axis + 1], [0]);
    const middles = g.Div(g.Add(m.floats(m.range(0, size)), 0.5), m.floats(size));
    return g.Mul(g.Unsqueeze(g.Sub(g.Mul(middles, 2), 1), axis === 2 ? [1, 2] : [0, 2]), inverse);
  });
  const shape = g.Concat([g.Slice(sizes, [2], [4], [0]), g.ints([s.frequencies.length])], 0);
  const both = g.Concat(angles.map((each) => g.Expand(each, shape)), 2); // prettier-ignore
  const places = g.Reshape(both, [1, 1, -1, 2 * s.frequencies.length]);
  const all = g.Pad(places, [0, 0, 1 + s.registers, 0, 0, 0, 0, 0]);
  return { cos: g.Cos(all), sin: g.Sin(all) };
}

function attention(m: Module, x: Value, angles: RotaryAngles, { heads, bias, outBias, hidden }: Sizes): Value {
  const [q, k, v] = project(m, x, { names: ['q_proj', 'k_proj', 'v_proj'], heads, bias });
  const context = attend(m, { q: rotated(m, q, angles), k: rotated(m, k, angles), v });
  return m.linear('o_proj', context, hidden, { bias: outBias });
}

function mlp(m: Module, x: Value, { isGated, act, inner, hidden, mlpBias: bias }: Sizes): Value {
  const up = m.linear('up_proj', x, inner, { bias });
  const wide = isGated ? m.g.Mul(act(m.g, m.linear('gate_proj', x, inner, { bias })), up) : act(m.g, up);
  return m.linear('down_proj', wide, hidden, { bias });
}

function layer(m: Module, x: Value, angles: RotaryAngles, s: Sizes): Value {
  const scaled = (name: string, y: Value): Value => m.g.Mul(y, m.parameter(`${name}.lambda1`, [s.hidden]));
  x = m.g.Add(x, scaled('layer_scale1', attention(m.at('attention'), m.layerNorm('norm1', x, s.eps), angles, s)));
  return m.g.Add(x, scaled('layer_scale2', mlp(m.at('mlp'), m.layerNorm('norm2', x, s.eps), s)));
}

function states(m: Module, s: Sizes): Value {
  const embeddings = m.at('embeddings');
  const map = embeddings.conv('patch_embeddings', pixelValues(m, { channels: s.channels }), { out: s.hidden, kernel: s.patch, strides: s.patch }); // prettier-ignore
  const registers = s.registers > 0 ? [embeddings.parameter('register_tokens', [1, s.registers, s.hidden])] : [];
  let x = withTokens(embeddings, asSequence(embeddings, map), ['cls_token', ...registers]);
  const angles = turnsOf(m.at('rope_embeddings'), map, s);
  for (const each of m.list('layer', s.layers)) x = layer(each, x, angles, s);
  return m.layerNorm('norm', x, s.eps);
}

export const dinov3: Architecture = {
  modelType: 'dinov3_vit',
  // Layers only, since transformers 5.
  prefix: 'model',
  others: /mask_token$|register_tokens$/,
  classes: {
    DINOv3ViTModel: modelClass(sizes, (m, s) => {
      const x = states(m, s);
      m.graph.output('last_hidden_state', x);
      m.graph.output('pooler_output', m.row(x, 0));
    }),
  },
};
