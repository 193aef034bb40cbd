/** @file The common parts of RT-DETR and D-FINE: an encoder that mixes the levels of a pyramid, and its best places as queries. */

import { float32 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../../layers/activations.ts';
import { levelsOf, type Levels } from '../../layers/images/deformable.ts';
import { boxNumbers, lookingAttention, skipLoss } from '../../layers/images/detection.ts';
import { asSequence } from '../../layers/images/patches.ts';
import { gridPositions, planeOf } from '../../layers/images/planePositions.ts';
import type { Module } from '../../layers/module.ts';
import type { Stack } from '../../layers/sizes.ts';
import { type Backbone, type BackboneKinds, readBackbone } from './backbones.ts';

export interface HybridSizes {
  readonly backbone: Backbone;
  readonly hidden: number;
  readonly encoder: Stack & { readonly hidden: number; readonly act: Activation };
  readonly decoder: Stack & { readonly act: Activation };
  /** Levels that attention of the encoder looks at. */
  readonly attended: readonly number[];
  /** Base of the positions' wave numbers; none where the model adds none. */
  readonly base: number | undefined;
  readonly normsFirst: boolean;
  readonly expansion: number;
  /** Activation of convolutions. */
  readonly act: Activation;
  readonly levels: number;
  /** Points per head of each level. */
  readonly points: readonly number[];
  readonly queries: number;
  readonly labels: number;
  readonly eps: number;
  readonly normEps: number;
  readonly isAuxiliary: boolean;
}

/** Reads the fields that RT-DETR and D-FINE share. */
export function hybridSizes(c: Config, kinds: BackboneKinds): HybridSizes {
  skipLoss(c);
  c.skip('freeze_backbone_batch_norms', 'freeze_backbone_batchnorms', 'encoder_in_channels', 'feat_strides');
  c.skip('decoder_in_channels', 'head_dim');
  c.skip('initializer_bias_prior_prob', 'disable_custom_kernels', 'with_box_refine', 'anchor_image_size');
  c.only('learn_initial_query', false);
  const hidden = c.size('d_model', 256);
  const wide = c.size('encoder_hidden_dim', 256);
  const levels = c.size('num_feature_levels', 3);
  if (wide % 4 !== 0) throw c.unsupported('encoder_hidden_dim', 'A position is sines and cosines of rows and columns.');
  const points: unknown = c.raw('decoder_n_points');
  const base = c.size('positional_encoding_temperature', 10_000);
  return {
    backbone: readBackbone(c, kinds),
    hidden,
    encoder: {
      hidden: wide,
      layers: c.whole('encoder_layers', 1),
      heads: c.divisor('encoder_attention_heads', wide, 8),
      inner: c.size('encoder_ffn_dim', 1024),
      act: c.activation('encoder_activation_function', 'gelu'),
    },
    decoder: {
      layers: c.size('decoder_layers', 6),
      heads: c.divisor('decoder_attention_heads', hidden, 8),
      inner: c.size('decoder_ffn_dim', 1024),
      act: c.activation('decoder_activation_function', 'relu'),
    },
    attended: c.numbers('encode_proj_layers', [2], (each) => Number.isInteger(each) && each >= 0),
    base: c.has('eval_size') ? undefined : base,
    normsFirst: c.flag('normalize_before', false),
    expansion: c.number('hidden_expansion', 1),
    act: c.activation('activation_function', 'silu'),
    levels,
    points: Array.isArray(points) ? c.sizes('decoder_n_points') : Array<number>(levels).fill(c.size('decoder_n_points', 4)), // prettier-ignore
    queries: c.size('num_queries', 300),
    labels: c.labels(),
    eps: c.number('layer_norm_eps', 1e-5),
    normEps: c.number('batch_norm_eps', 1e-5),
    isAuxiliary: c.flag('auxiliary_loss', true),
  };
}

/** A convolution of a neck. */
export interface NeckConvolution {
  readonly out: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly groups?: number;
  readonly act?: Activation;
}

/** Convolution `conv`, norm `norm` and an activation. */
export function neckConvolution(
  m: Module,
  x: Value,
  { normEps }: Pick<HybridSizes, 'normEps'>,
  { out, kernel, stride = 1, groups = 1, act }: NeckConvolution,
): Value {
  const half = Math.floor((kernel - 1) / 2);
  const options = { out, kernel: [kernel, kernel], strides: [stride, stride], pads: [half, half], groups, bias: false };
  const normed = m.batchNorm('norm', m.conv('conv', x, options), normEps);
  return act ? act(m.g, normed) : normed;
}

/** Two branches, one of them through RepVGG blocks, added: Wang et al. 2020, "CSPNet"; Ding et al. 2021, "RepVGG". */
export function crossStage(m: Module, x: Value, s: HybridSizes, blocks: number, out: number, width: number): Value {
  const one = { out: width, kernel: 1, act: s.act };
  let y = neckConvolution(m.at('conv1'), x, s, one);
  for (const block of m.list('bottlenecks', blocks)) {
    const [wide, narrow] = [3, 1].map((kernel, i) => neckConvolution(block.at(`conv${i + 1}`), y, s, { out: width, kernel })) as [Value, Value]; // prettier-ignore
    y = s.act(block.g, block.g.Add(wide, narrow));
  }
  const sum = m.g.Add(y, neckConvolution(m.at('conv2'), x, s, one));
  return width === out ? sum : neckConvolution(m.at('conv3'), sum, s, { ...one, out });
}

/** A transformer layer over one map `[batch, places, hidden]`. */
function encoderLayer(m: Module, x: Value, positions: Value | undefined, s: HybridSizes): Value {
  const { g } = m;
  const { heads, inner, act, hidden } = s.encoder;
  const norm = (name: string, y: Value): Value => m.layerNorm(name, y, s.eps);
  const places = positions && ([positions, positions] as const);
  const asked = s.normsFirst ? norm('self_attn_layer_norm', x) : x;
  const sum = g.Add(x, lookingAttention(m.at('self_attn'), { x: asked, from: asked, places, heads }));
  // Before the MLP the normed states are those that it is added to.
  const between = norm(s.normsFirst ? 'final_layer_norm' : 'self_attn_layer_norm', sum);
  const y = g.Add(between, m.linear('fc2', act(g, m.linear('fc1', between, inner)), hidden));
  return s.normsFirst ? y : norm('final_layer_norm', y);
}

function attendedMap(m: Module, map: Value, s: HybridSizes): Value {
  const { g } = m;
  const { hidden } = s.encoder;
  const positions = s.base === undefined ? undefined : gridPositions(m, map, hidden, s.base);
  let x = asSequence(m, map);
  for (const layer of m.list('layers', s.encoder.layers)) x = encoderLayer(layer, x, positions, s);
  const shape = g.Concat([g.ints([0, hidden]), planeOf(m, map)], 0);
  return g.Reshape(g.Transpose(x, [0, 2, 1]), shape);
}

/** The parts of a pyramid that differ between RT-DETR and D-FINE. */
export interface Pyramid {
  readonly lateral: (m: Module, x: Value) => Value;
  readonly down: (m: Module, x: Value) => Value;
  readonly block: (m: Module, x: Value) => Value;
}

/** Attention within the coarsest maps, then top-down and bottom-up through the pyramid. */
function encodedMaps(m: Module, maps: readonly Value[], s: HybridSizes, parts: Pyramid): Value[] {
  const { g } = m;
  const inputs = [...maps];
  if (s.encoder.layers > 0)
    for (const [i, level] of s.attended.entries()) {
      if (!inputs[level]) throw new RangeError(`encode_proj_layers names level ${level}`);
      inputs[level] = attendedMap(m.at(`encoder.${i}`), inputs[level], s);
    }
  const double = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
  const scales = g.constant(float32([1, 1, 2, 2], [4]));
  const [coarsest, ...finer] = inputs.toReversed();
  const down = [coarsest!];
  for (const [i, map] of finer.entries()) {
    const lateral = parts.lateral(m.at(`lateral_convs.${i}`), down[0]!);
    down[0] = lateral;
    const wide = g.emit('Resize', [lateral, undefined, scales], double);
    down.unshift(parts.block(m.at(`fpn_blocks.${i}`), g.Concat([wide, map], 1)));
  }
  const up = [down[0]!];
  for (const [i, map] of down.slice(1).entries()) {
    const narrow = parts.down(m.at(`downsample_convs.${i}`), up[i]!);
    up.push(parts.block(m.at(`pan_blocks.${i}`), g.Concat([narrow, map], 1)));
  }
  return up;
}

/** Backbone and encoder: the levels' maps, and the projected maps for the decoder by `project`. */
export function encodedPyramid(m: Module, s: HybridSizes, parts: Pyramid): Value[] {
  const maps = s.backbone(m.at('backbone.model')).map((map, i) => {
    const own = m.at(`encoder_input_proj.${i}`);
    return own.batchNorm('1', own.conv('0', map, { out: s.encoder.hidden, kernel: [1, 1], bias: false }), 1e-5);
  });
  return encodedMaps(m.at('encoder'), maps, s, parts);
}

/** A map projected for the decoder: `[batch, hidden, height, width]`. */
export function projectedMap(m: Module, map: Value, s: HybridSizes, isCoarser: boolean): Value {
  const sizes = isCoarser ? { kernel: [3, 3], strides: [2, 2], pads: [1, 1] } : { kernel: [1, 1] };
  return m.batchNorm('1', m.conv('0', map, { out: s.hidden, bias: false, ...sizes }), s.normEps);
}

/** Where the decoder begins: the encoder's best places. */
export interface Proposals {
  readonly levels: Levels;
  /** States `[batch, queries, hidden]`. */
  readonly states: Value;
  /** Boxes as shares `[batch, queries, 4]`. */
  readonly boxes: Value;
}

/** Rows of `[batch, places, width]` at places `[batch, queries]`. */
export function taken({ g }: Module, value: Value, places: Value): Value {
  const width = Number(value.shape!.at(-1));
  return g.GatherElements(value, g.Expand(g.Unsqueeze(places, [2]), g.ints([1, 1, width])), 1);
}

/** Boxes in shares of the image `[1, places, 4]`, and which of them are wholly inside, bool `[1, places, 1]`. */
interface Anchors {
  readonly shares: Value;
  readonly valid: Value;
}

/** Least distance of an anchor's numbers from 0 and 1. */
const LEAST = 0.01;

/** A box of 5% of the image at each place of level 0, doubled with each level. */
export function anchorBoxes(m: Module, planes: readonly Value[]): Anchors {
  const { g } = m;
  const all = planes.map((plane, level) => {
    const size = 0.05 * 2 ** level;
    const [height, width] = [0, 1].map((i) => g.Slice(plane, [i], [i + 1], [0])) as [Value, Value];
    const shares = (count: Value): Value => g.Div(g.Add(m.floats(m.range(0, count)), 0.5), m.floats(count));
    const sides = g.Concat([plane, g.ints([1])], 0);
    const x = g.Expand(g.Unsqueeze(shares(width), [0, 2]), sides);
    const y = g.Expand(g.Unsqueeze(shares(height), [1, 2]), sides);
    const centers = g.Reshape(g.Concat([x, y], 2), [1, -1, 2]);
    return g.Pad(centers, [0, 0, 0, 0, 0, 2], size);
  });
  const shares = g.Concat(all, 1);
  const isInside = g.And(g.Greater(shares, LEAST), g.Less(shares, 1 - LEAST));
  return { shares, valid: g.Greater(g.ReduceMin(m.floats(isInside), [2], true), 0.5) };
}

/** The same before the sigmoid; shares of invalid ones are 1. */
export function anchors(m: Module, planes: readonly Value[]): { readonly numbers: Value; readonly valid: Value } {
  const { g } = m;
  const { shares, valid } = anchorBoxes(m, planes);
  // Any number in place of those that have no logarithm.
  const safe = g.Min(g.Max(shares, LEAST), 1 - LEAST);
  const logits = g.Log(g.Div(safe, g.Sub(1, safe)));
  const largest = 3.4028234663852886e38;
  return { numbers: g.Where(valid, logits, largest), valid: m.floats(valid) };
}

/** Takes the places with the highest scores as queries; declares the outputs of their loss. */
export function proposals(m: Module, maps: readonly Value[], s: HybridSizes): Proposals {
  const { g, graph } = m;
  const levels = levelsOf(m, maps);
  const { numbers, valid } = anchors(m, levels.planes);
  const output = m.at('enc_output');
  const states = output.layerNorm('1', output.linear('0', g.Mul(valid, levels.sequence), s.hidden), s.eps);
  const scores = m.linear('enc_score_head', states, s.labels);
  const boxes = g.Add(boxNumbers(m.at('enc_bbox_head'), states), numbers);
  const [, places] = g.emitMany('TopK', [g.ReduceMax(scores, [2], false), g.ints([s.queries])], 2, { axis: 1 }) as [Value, Value]; // prettier-ignore
  const best = g.Sigmoid(taken(m, boxes, places));
  if (s.isAuxiliary) {
    graph.output('enc_logits', taken(m, scores, places));
    graph.output('enc_boxes', best);
  }
  return { levels, states: taken(m, states, places), boxes: best };
}
