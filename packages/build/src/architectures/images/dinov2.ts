/** @file DINOv2: Oquab et al. 2023; with registers: Darcet et al. 2023, "Vision Transformers Need Registers". */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, classifierClass, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { silu } from '../../layers/activations.ts';
import { selfAttention } from '../../layers/attention.ts';
import { asSequence, pixelValues, resampled, resampledSmooth, withTokens } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';
import type { TransformerSizes } from '../../layers/sizes.ts';

/** Sizes of a DINOv2. */
export interface Dinov2Sizes extends TransformerSizes {
  /** Gated MLP: Shazeer 2020. */
  readonly isGated: boolean;
  readonly qkvBias: boolean;
  readonly channels: number;
  readonly patch: readonly [number, number];
  /** Grid of the learned positions, `[height, width]`. */
  readonly grid: readonly [number, number];
  /** Register tokens; undefined for a model trained without. */
  readonly registers?: number;
  /** Whether positions are resampled as in Pillow; as in torch without. */
  readonly isSmooth?: boolean;
}

/** Reads the fields of DINOv2. */
export function dinov2Sizes(c: Config, absentPatch: number): Dinov2Sizes {
  c.skip('layerscale_value', 'use_mask_token', 'apply_layernorm', 'reshape_hidden_states');
  c.skip('out_features', 'out_indices', 'stage_names');
  const hidden = c.size('hidden_size', 768);
  const wide = Math.trunc(hidden * c.number('mlp_ratio', 4));
  const isGated = c.flag('use_swiglu_ffn', false);
  const [image, patch] = [c.pair('image_size', 224), c.pair('patch_size', absentPatch)];
  const positions = Math.floor(image[0] / patch[0]) * Math.floor(image[1] / patch[1]);
  const side = Math.round(Math.sqrt(positions));
  if (side * side !== positions)
    throw c.unsupported('image_size', 'Positions are resampled from as many rows as columns.');
  return {
    hidden,
    layers: c.size('num_hidden_layers', 12),
    heads: c.divisor('num_attention_heads', hidden, 12),
    inner: isGated ? 8 * Math.ceil(Math.trunc((wide * 2) / 3) / 8) : wide,
    isGated,
    act: c.activation('hidden_act', 'gelu'),
    eps: c.number('layer_norm_eps', 1e-6),
    qkvBias: c.flag('qkv_bias', true),
    channels: c.size('num_channels', 3),
    patch,
    grid: [side, side],
  };
}

/** Patches of an image of any size, with class token and registers: `[batch, tokens, hidden]`. */
function embeddings(m: Module, s: Dinov2Sizes): Value {
  const { hidden, registers } = s;
  const { classToken, patches } = dinov2Patches(m, pixelValues(m, s), s);
  return withTokens(m, patches, [
    classToken,
    ...(registers ? [m.parameter('register_tokens', [1, registers, hidden])] : []),
  ]);
}

/** Class token `[1, 1, hidden]` and patches `[batch, patches, hidden]`, with their positions. */
export function dinov2Patches(
  m: Module,
  pixels: Value,
  { hidden, patch, grid, registers, isSmooth = registers !== undefined }: Dinov2Sizes,
): { readonly classToken: Value; readonly patches: Value } {
  const { g } = m;
  const map = m.at('patch_embeddings').conv('projection', pixels, { out: hidden, kernel: patch, strides: patch });
  const table = m.parameter('position_embeddings', [1, grid[0] * grid[1] + 1, hidden]);
  const [first, places] = g.Split(table, [1, grid[0] * grid[1]], 1) as [Value, Value];
  const resample = isSmooth ? resampledSmooth : resampled;
  return {
    classToken: g.Add(m.parameter('cls_token', [1, 1, hidden]), first),
    patches: g.Add(asSequence(m, map), resample(m, places, grid, g.Slice(g.Shape(map), [2], [4], [0]))),
  };
}

/** Paths of attention in a layer. */
interface AttentionPaths {
  readonly layers: string;
  readonly names: readonly [q: string, k: string, v: string];
  readonly output: string;
}

const attentionPaths: AttentionPaths = {
  layers: 'attention.attention',
  names: ['query', 'key', 'value'],
  output: 'attention.output.dense',
};

/** A layer. @param seen the tokens as attention sees them, such as those of all windows as one sequence */
export function dinov2Layer(
  m: Module,
  x: Value,
  s: Dinov2Sizes,
  seen: Value = x,
  { layers, names, output }: AttentionPaths = attentionPaths,
): Value {
  const scaled = (name: string, y: Value): Value => m.g.Mul(y, m.parameter(`${name}.lambda1`, [s.hidden]));
  const normed = m.layerNorm('norm1', seen, s.eps);
  const context = selfAttention(m.at(layers), normed, { names, heads: s.heads, bias: s.qkvBias });
  const attended = m.linear(output, context, s.hidden);
  x = m.g.Add(scaled('layer_scale1', seen === x ? attended : m.g.Reshape(attended, m.g.Shape(x))), x);
  return m.g.Add(scaled('layer_scale2', mlp(m.at('mlp'), m.layerNorm('norm2', x, s.eps), s)), x);
}

function mlp(m: Module, x: Value, { isGated, inner, hidden, act }: Dinov2Sizes): Value {
  if (!isGated) return m.linear('fc2', act(m.g, m.linear('fc1', x, inner)), hidden);
  // Files of transformers 5 may still hold both layers as one.
  if (m.has('gate_proj.weight')) {
    const product = m.g.Mul(silu(m.g, m.linear('gate_proj', x, inner)), m.linear('up_proj', x, inner));
    return m.linear('down_proj', product, hidden);
  }
  const [gate, value] = m.graph.options.names.generation === 5 ? halves(m, x, inner) : joined(m, x, inner);
  return m.linear('weights_out', m.g.Mul(silu(m.g, gate), value), hidden);
}

/** transformers 4: one layer yields gate and value. */
function joined(m: Module, x: Value, inner: number): [Value, Value] {
  return m.g.Split(m.linear('weights_in', x, 2 * inner), [inner, inner], -1) as [Value, Value];
}

/** transformers 5: two layers, each with half of the stored weight. */
function halves(m: Module, x: Value, inner: number): [Value, Value] {
  const weights = m.g.Split(m.parameter('weights_in.weight', [2 * inner, Number(x.shape!.at(-1))]), [inner, inner], 0);
  const biases = m.g.Split(m.parameter('weights_in.bias', [2 * inner]), [inner, inner], 0);
  return ['gate_proj', 'up_proj'].map((name, i) => {
    const { g } = m.at(name);
    return g.Add(g.MatMul(x, g.Transpose(weights[i]!, [1, 0])), biases[i]!);
  }) as [Value, Value];
}

function states(m: Module, s: Dinov2Sizes): Value {
  let x = embeddings(m.at('embeddings'), s);
  for (const each of m.list('encoder.layer', s.layers)) x = dinov2Layer(each, x, s);
  return m.layerNorm('layernorm', x, s.eps);
}

/** The class token and the patches' mean: `[batch, 2 · hidden]`. */
function features(m: Module, x: Value, { registers = 0 }: Dinov2Sizes): Value {
  const patches = m.g.Slice(x, [1 + registers], [Number.MAX_SAFE_INTEGER], [1]);
  return m.g.Concat([m.row(x, 0), m.g.ReduceMean(patches, [1], false)], 1);
}

function named(name: string, prefix: string, read: (c: Config) => Dinov2Sizes): Architecture {
  return {
    modelType: prefix,
    prefix,
    others: /mask_token$|^classifier\./,
    classes: {
      [`${name}Model`]: modelClass(read, (m, s) => {
        const x = states(m, s);
        m.graph.output('last_hidden_state', x);
        m.graph.output('pooler_output', m.row(x, 0));
      }),
      [`${name}ForImageClassification`]: classifierClass(read, (m, s) => features(m, states(m.at(prefix), s), s)),
    },
  };
}

export const dinov2: Architecture = named('Dinov2', 'dinov2', (c) => dinov2Sizes(c, 14));

export const dinov2WithRegisters: Architecture = named('Dinov2WithRegisters', 'dinov2_with_registers', (c) => ({
  ...dinov2Sizes(c, 16),
  registers: c.whole('num_register_tokens', 4),
}));
