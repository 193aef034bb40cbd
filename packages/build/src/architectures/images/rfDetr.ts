/**
 * @file RF-DETR: Robinson et al. 2025, "RF-DETR: Neural architecture search for real-time detection transformers"; after
 * LW-DETR: Chen et al. 2024. A DINOv2 that mostly looks within windows, and a decoder of a few layers.
 */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../../layers/activations.ts';
import { attend, packedProjections } from '../../layers/attention.ts';
import { aroundBoxes, deformableAttention, type Levels, levelsOf } from '../../layers/images/deformable.ts';
import {
  boxNumbers,
  type Decoded,
  detectorOutputs,
  ofBatch,
  perceptron,
  skipLoss,
} from '../../layers/images/detection.ts';
import { pixelValues } from '../../layers/images/patches.ts';
import { sinesOf } from '../../layers/images/planePositions.ts';
import type { Module } from '../../layers/module.ts';
import { anchorBoxes, taken } from './hybridEncoder.ts';
import { publishedName } from './rfDetrNames.ts';
import { type WindowedSizes, windowedMaps, windowedSizes } from './windowedDinov2.ts';

export interface RfDetrSizes {
  readonly backbone: WindowedSizes;
  readonly hidden: number;
  /** Width and number of the projector's blocks. */
  readonly narrow: number;
  readonly blocks: number;
  readonly act: Activation;
  /** Epsilon of the norms in the projector; others are 1e-5 and 1e-6. */
  readonly eps: number;
  readonly decoder: {
    readonly layers: number;
    readonly ownHeads: number;
    readonly heads: number;
    readonly points: number;
    readonly inner: number;
    readonly act: Activation;
    readonly bias: boolean;
  };
  readonly queries: number;
  /** Sets of queries; all but the first are of training. */
  readonly groups: number;
  readonly labels: number;
  readonly isAuxiliary: boolean;
}

const EPSILON = 1e-5;
const MAP_EPSILON = 1e-6;
const LOWEST = -3.4028234663852886e38;

function rfDetrSizes(c: Config): RfDetrSizes {
  skipLoss(c);
  c.skip('class_loss_coefficient', 'mask_class_loss_coefficient', 'mask_dice_loss_coefficient');
  c.skip('mask_point_sample_ratio', 'disable_custom_kernels');
  c.skip('mask_downsample_ratio', 'segmentation_head_activation_function', 'intermediate_size');
  // Its projector makes one map.
  c.only('num_feature_levels', 1);
  const hidden = c.size('d_model', 256);
  if (hidden % 4 !== 0) throw c.unsupported('d_model', 'A position is sines and cosines: a multiple of 4.');
  return {
    backbone: windowedSizes(c.inner('backbone_config')),
    hidden,
    narrow: Math.trunc(hidden * c.number('hidden_expansion', 0.5)),
    blocks: c.whole('c2f_num_blocks', 3),
    act: c.activation('activation_function', 'silu'),
    eps: c.number('layer_norm_eps', 1e-5),
    decoder: {
      layers: c.size('decoder_layers', 3),
      ownHeads: c.divisor('decoder_self_attention_heads', hidden, 8),
      heads: c.divisor('decoder_cross_attention_heads', hidden, 16),
      points: c.size('decoder_n_points', 4),
      inner: c.size('decoder_ffn_dim', 2048),
      act: c.activation('decoder_activation_function', 'relu'),
      bias: c.flag('attention_bias', true),
    },
    queries: c.size('num_queries', 300),
    groups: c.size('group_detr', 13),
    labels: c.labels(),
    isAuxiliary: c.flag('auxiliary_loss', true),
  };
}

/** A convolution, a norm over channels and the activation. */
function convolution(m: Module, x: Value, s: RfDetrSizes, out: number, kernel: number): Value {
  const half = Math.floor(kernel / 2);
  const map = m.conv('conv', x, { out, kernel: [kernel, kernel], pads: [half, half], bias: false });
  return s.act(m.g, m.channelNorm('norm', map, s.eps));
}

/** The maps of some layers as one `[batch, hidden, height, width]`: the block C2f. */
function projected(m: Module, maps: readonly Value[], s: RfDetrSizes): Value {
  const { g } = m;
  const own = m.at('projector_layer');
  const wide = convolution(own.at('conv1'), maps.length > 1 ? g.Concat(maps, 1) : maps[0]!, s, 2 * s.narrow, 1);
  const parts = g.Split(wide, [s.narrow, s.narrow], 1);
  for (const block of own.list('bottlenecks', s.blocks)) {
    const inner = convolution(block.at('conv1'), parts.at(-1)!, s, s.narrow, 3);
    parts.push(convolution(block.at('conv2'), inner, s, s.narrow, 3));
  }
  return m.channelNorm('layer_norm', convolution(own.at('conv2'), g.Concat(parts, 1), s, s.hidden, 1), MAP_EPSILON);
}

/** Boxes moved by shares of their sides, and scaled: `[…, 4]`. */
function moved({ g }: Module, boxes: Value, by: Value): Value {
  const [centers, sizes] = g.Split(boxes, [2, 2], -1) as [Value, Value];
  const [shift, scale] = g.Split(by, [2, 2], -1) as [Value, Value];
  return g.Concat([g.Add(g.Mul(shift, sizes), centers), g.Mul(g.Exp(scale), sizes)], -1);
}

/** The best places' boxes in shares, moved as the queries learned: `[batch, queries, 4]`. */
function startBoxes(m: Module, { sequence, planes }: Levels, s: RfDetrSizes): Value {
  const { g, graph } = m;
  const { shares, valid } = anchorBoxes(m, planes);
  const inside = m.floats(valid);
  const states = m.layerNorm('enc_output_norm.0', m.linear('enc_output.0', g.Mul(sequence, inside), s.hidden), EPSILON);
  const scores = g.Where(valid, m.linear('enc_out_class_embed.0', states, s.labels), LOWEST);
  const boxes = moved(m, g.Mul(shares, inside), boxNumbers(m.at('enc_out_bbox_embed.0'), states));
  const [, places] = g.emitMany('TopK', [g.ReduceMax(scores, [2], false), g.ints([s.queries])], 2, { axis: 1 }) as [Value, Value]; // prettier-ignore
  const best = taken(m, boxes, places);
  if (s.isAuxiliary) {
    const logits = m.linear('enc_out_class_embed.0', taken(m, states, places), s.labels);
    graph.output('enc_logits', logits, ofBatch(logits));
    graph.output('enc_boxes', best, ofBatch(best));
  }
  return moved(m, best, ofFirstGroup(m, 'reference_point_embed.weight', 4, s));
}

/** Rows of the queries that answers are made with: `[1, queries, width]`. */
function ofFirstGroup(m: Module, name: string, width: number, { queries, groups }: RfDetrSizes): Value {
  const table = m.parameter(name, [queries * groups, width]);
  return m.g.Unsqueeze(groups === 1 ? table : m.g.Slice(table, [0], [queries], [0]), [0]);
}

function decoderLayer(m: Module, x: Value, places: Value, boxes: Value, levels: Levels, s: RfDetrSizes): Value {
  const { g } = m;
  const { ownHeads, heads, points, inner, act, bias } = s.decoder;
  const added = (name: string, a: Value, b: Value): Value => m.layerNorm(name, g.Add(a, b), EPSILON);
  const placed = g.Add(x, places);
  const [q, k, v] = packedProjections(m.at('self_attn'), [placed, placed, x], ownHeads, bias);
  const own = m.linear('self_attn.o_proj', attend(m, { q, k, v }), s.hidden, { bias });
  const asked = added('self_attn_layer_norm', x, own);
  const locate = aroundBoxes(m, boxes, { points: [points], scale: 0.5 });
  const sampling = { x: g.Add(asked, places), levels, points: [points], heads, locate };
  const seen = added('cross_attn_layer_norm', asked, deformableAttention(m.at('cross_attn'), sampling));
  return added('layer_norm', seen, m.linear('mlp.fc2', act(g, m.linear('mlp.fc1', seen, inner)), s.hidden));
}

/** States of an RF-DETR, read by its heads. */
export interface RfDetrStates extends Decoded {
  readonly pixels: Value;
  /** The projector's map `[batch, hidden, height, width]`. */
  readonly map: Value;
  readonly boxes: Value;
}

function states(m: Module, s: RfDetrSizes): RfDetrStates {
  const { g } = m;
  const pixels = pixelValues(m, s.backbone);
  const maps = windowedMaps(m.at('backbone.backbone'), pixels, s.backbone);
  const map = projected(m.at('backbone.projector'), maps, s);
  const levels = levelsOf(m, [map]);
  const boxes = startBoxes(m, levels, s);
  const decoder = m.at('decoder');
  const places = perceptron(decoder.at('ref_point_head'), sinesOf(decoder, boxes, s.hidden / 2), [s.hidden, s.hidden]);
  let x = g.Expand(ofFirstGroup(m, 'query_feat.weight', s.hidden, s), g.Shape(places));
  const each: Value[] = [];
  for (const layer of decoder.list('layers', s.decoder.layers)) {
    x = decoderLayer(layer, x, places, boxes, levels, s);
    each.push(decoder.layerNorm('layernorm', x, EPSILON));
  }
  return { pixels, map, boxes, each, last: each.at(-1)! };
}

/** Declares scores and boxes of an RF-DETR. */
function rfDetrDetector(m: Module, s: RfDetrSizes): RfDetrStates {
  const all = states(m.at('model'), s);
  detectorOutputs(m, all, {
    isAuxiliary: s.isAuxiliary,
    logits: (x) => m.linear('class_embed', x, s.labels),
    boxes: (x) => moved(m, all.boxes, boxNumbers(m.at('bbox_embed'), x)),
  });
  return all;
}

/** Sets of queries of training; a mask for patches; heads of masks. */
const others =
  /^transformer\.enc_out\w*\.(?!0\.)\d+\.|mask_token$|^backbone\.0\.encoder\.encoder\.layernorm\.|^segmentation_head\./;

interface MaskSizes extends RfDetrSizes {
  /** Side of a mask's pixel in those of the image. */
  readonly ratio: number;
  readonly maskAct: Activation;
  readonly maskInner: number;
}

/** A convolution by channel and a layer, added. */
function maskBlock(m: Module, x: Value, { hidden, maskAct }: MaskSizes): Value {
  const { g } = m;
  const y = m.conv('depthwise_conv', x, { out: hidden, kernel: [3, 3], pads: [1, 1], groups: hidden });
  const normed = m.layerNorm('layernorm', g.Transpose(y, [0, 2, 3, 1]), MAP_EPSILON);
  return g.Add(g.Transpose(maskAct(g, m.linear('pointwise_conv', normed, hidden)), [0, 3, 1, 2]), x);
}

/** Scores of each pixel for each query: `[batch, queries, height, width]`. */
function maskScores(m: Module, pixels: Value, x: Value, s: MaskSizes): Value {
  const { g } = m;
  const block = m.at('query_features_block');
  const inner = s.maskAct(g, block.linear('mlp.fc1', block.layerNorm('norm', x, EPSILON), s.maskInner));
  const queries = m.linear('query_features_proj', g.Add(block.linear('mlp.fc2', inner, s.hidden), x), s.hidden);
  const map = m.conv('spatial_features_proj', pixels, { out: s.hidden, kernel: [1, 1] });
  const scores = g.MatMul(queries, g.Reshape(map, [0, s.hidden, -1]));
  const plane = g.Slice(g.Shape(map), [2], [4], [0]);
  return g.Add(g.Reshape(scores, g.Concat([g.ints([0, s.queries]), plane], 0)), m.parameter('segmentation_bias', [1]));
}

function segment(m: Module, s: MaskSizes): void {
  const { g, graph } = m;
  const { pixels, map, each } = rfDetrDetector(m.at('model'), s);
  const plane = g.Div(g.Slice(g.Shape(pixels), [2], [4], [0]), g.ints([s.ratio]));
  const sizes = g.Concat([g.Slice(g.Shape(map), [0], [2], [0]), plane], 0);
  const attributes = { mode: 'linear', coordinate_transformation_mode: 'half_pixel' };
  let x = g.emit('Resize', [map, undefined, undefined, sizes], attributes);
  const masks = each.map((state, i) => {
    x = maskBlock(m.at(`blocks.${i}`), x, s);
    return maskScores(m, x, state, s);
  });
  graph.output('pred_masks', masks.at(-1)!, ofBatch(masks.at(-1)!));
}

export const rfDetr: Architecture = {
  modelType: 'rf_detr',
  prefix: 'model',
  others,
  copies: (name) => [publishedName(name)],
  classes: {
    RfDetrForObjectDetection: modelClass(rfDetrSizes, (m, s) => void rfDetrDetector(m, s)),
    RfDetrForInstanceSegmentation: modelClass(
      (c) => ({
        ...rfDetrSizes(c),
        ratio: c.size('mask_downsample_ratio', 4),
        maskAct: c.activation('segmentation_head_activation_function', 'gelu'),
        maskInner: c.size('intermediate_size', 1024),
      }),
      segment,
    ),
  },
};
