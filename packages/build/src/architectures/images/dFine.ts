/** @file D-FINE: Peng et al. 2024, "Redefine regression task in DETRs as fine-grained distribution refinement". */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { silu } from '../../layers/activations.ts';
import { aroundBoxes, deformableAttention } from '../../layers/images/deformable.ts';
import { boxNumbers, inverseSigmoid, lookingAttention, perceptron, stacked } from '../../layers/images/detection.ts';
import type { Module } from '../../layers/module.ts';
import {
  crossStage,
  encodedPyramid,
  type HybridSizes,
  hybridSizes,
  neckConvolution,
  projectedMap,
  proposals,
  type Proposals,
  type Pyramid,
} from './hybridEncoder.ts';
import { detectorHeads } from './rtDetr.ts';

interface DFineSizes extends HybridSizes {
  /** RepVGG blocks of a stage. */
  readonly blocks: number;
  readonly scale: number;
  /** Bins of an edge's distance, less one. */
  readonly bins: number;
  /** Largest probabilities that tell the quality of a place. */
  readonly most: number;
  readonly quality: { readonly hidden: number; readonly layers: number };
  /** Width of the maps after the encoder. */
  readonly input: number;
}

function sizes(c: Config): DFineSizes {
  c.skip('layer_scale', 'reg_scale', 'up');
  c.only('decoder_method', 'default');
  const s = hybridSizes(c, { types: ['hgnet_v2', 'rt_detr_resnet', 'resnet'], stages: [2, 3, 4] });
  c.only('eval_idx', -1, s.decoder.layers - 1);
  const bins = c.size('max_num_bins', 32);
  if (bins < 4 || bins % 2 !== 0) throw c.unsupported('max_num_bins', 'An even number of at least 4 is needed.');
  return {
    ...s,
    blocks: Math.round(3 * c.number('depth_mult', 1)),
    scale: c.number('decoder_offset_scale', 0.5),
    bins,
    most: c.size('top_prob_values', 4),
    quality: { hidden: c.size('lqe_hidden_dim', 64), layers: c.size('lqe_layers', 2) },
    input: c.sizes('decoder_in_channels', [256, 256, 256]).at(-1)!,
  };
}

/** Gathered layers: Wang et al. 2022, "Designing network design strategies through gradient path analysis" (ELAN). */
function gathered(m: Module, x: Value, s: DFineSizes): Value {
  const { g } = m;
  const { hidden } = s.encoder;
  const narrow = Math.round(Math.floor((s.expansion * hidden) / 2));
  const layer = (name: string, y: Value, out: number, kernel: number): Value =>
    neckConvolution(m.at(name), y, s, { out, kernel, act: silu });
  const halves = g.Split(layer('conv1', x, 2 * hidden, 1), [hidden, hidden], 1) as [Value, Value];
  const first = layer('conv2', crossStage(m.at('csp_rep1'), halves[1], s, s.blocks, narrow, narrow), narrow, 3);
  const second = layer('conv3', crossStage(m.at('csp_rep2'), first, s, s.blocks, narrow, narrow), narrow, 3);
  return layer('conv4', g.Concat([...halves, first, second], 1), hidden, 1);
}

function pyramid(s: DFineSizes): Pyramid {
  const { hidden: out } = s.encoder;
  return {
    lateral: (m, x) => neckConvolution(m, x, s, { out, kernel: 1 }),
    down: (m, x) => {
      const y = neckConvolution(m.at('conv1'), x, s, { out, kernel: 1 });
      return neckConvolution(m.at('conv2'), y, s, { out, kernel: 3, stride: 2, groups: out });
    },
    block: (m, x) => gathered(m, x, s),
  };
}

function decoderLayer(m: Module, x: Value, boxes: Value, places: Value, { levels }: Proposals, s: DFineSizes): Value {
  const { g } = m;
  const { heads, inner, act } = s.decoder;
  const own = lookingAttention(m.at('self_attn'), { x, from: x, places: [places, places], heads });
  const asked = m.layerNorm('self_attn_layer_norm', g.Add(x, own), s.eps);
  const offsets = { points: s.points, scale: s.scale, stored: 'num_points_scale' };
  const locate = aroundBoxes(m.at('encoder_attn'), boxes, offsets);
  const sampling = { x: g.Add(asked, places), levels, points: s.points, heads, locate, isProjected: false };
  const seen = deformableAttention(m.at('encoder_attn'), sampling);
  const gateway = m.at('gateway');
  const gates = g.Sigmoid(gateway.linear('gate', g.Concat([asked, seen], 2), 2 * s.hidden));
  const [keep, take] = g.Split(gates, [s.hidden, s.hidden], -1) as [Value, Value];
  const gated = gateway.layerNorm('norm', g.Add(g.Mul(keep, asked), g.Mul(take, seen)), 1e-5);
  const sum = g.Add(gated, m.linear('fc2', act(g, m.linear('fc1', gated, inner)), s.hidden));
  return m.layerNorm('final_layer_norm', g.Max(g.Min(sum, 65_504), -65_504), s.eps);
}

/** Distances of the bins `[bins + 1]`: small steps about 0, the two ends twice as far. */
function binDistances(m: Module, bins: number): Value {
  const [up, scale] = ['up', 'reg_scale'].map((name) => m.numbers(name, [1])) as [() => Float32Array, () => Float32Array]; // prettier-ignore
  return m.computed('integral.project', [bins + 1], () => {
    const bound = Math.abs(up()[0]!) * Math.abs(scale()[0]!);
    const step = (bound + 1) ** (2 / (bins - 2));
    const half = bins / 2;
    return Float32Array.from({ length: bins + 1 }, (_, i) => {
      const k = Math.abs(i - half);
      return Math.sign(i - half) * (k === half ? 2 * bound : step ** k - 1);
    });
  });
}

/** A box from the distances of its edges to those of a reference `[batch, queries, 4]`. */
function boxFrom(m: Module, reference: Value, distances: Value): Value {
  const { g } = m;
  const scale = g.Abs(m.parameter('reg_scale', [1]));
  const [center, size] = g.Split(reference, [2, 2], -1) as [Value, Value];
  const unit = g.Div(size, scale);
  const half = g.Mul(scale, 0.5);
  const [before, after] = g.Split(distances, [2, 2], -1).map((each) => g.Mul(g.Add(each, half), unit)) as [Value, Value]; // prettier-ignore
  const moved = g.Add(center, g.Mul(g.Sub(after, before), 0.5));
  return g.Concat([moved, g.Add(before, after)], 2);
}

/** Adds what the largest probabilities of the edges' bins tell of the quality: `[batch, queries, classes]`. */
function withQuality(m: Module, scores: Value, corners: Value, s: DFineSizes): Value {
  const { g } = m;
  const shares = g.Softmax(g.Reshape(corners, [0, 0, 4, s.bins + 1]), -1);
  const [largest] = g.emitMany('TopK', [shares, g.ints([s.most])], 2, { axis: -1 }) as [Value, Value];
  const statistics = g.Concat([largest, g.ReduceMean(largest, [3], true)], 3);
  const widths = Array.from({ length: s.quality.layers }, (_, i) => (i < s.quality.layers - 1 ? s.quality.hidden : 1));
  return g.Add(scores, perceptron(m.at('reg_conf'), g.Reshape(statistics, [0, 0, 4 * (s.most + 1)]), widths));
}

function dFineModel(m: Module, s: DFineSizes): void {
  const { graph } = m;
  const model = m.at('model');
  const maps = encodedPyramid(model, s, pyramid(s));
  const last = maps.length;
  const projected = Array.from({ length: Math.max(s.levels, last) }, (_, i) => {
    const map = maps[Math.min(i, last - 1)]!;
    return s.input === s.hidden ? map : projectedMap(model.at(`decoder_input_proj.${i}`), map, s, i >= last);
  });
  const found = proposals(model, projected, s);
  const decoder = model.at('decoder');
  const { g } = decoder;
  const distances = binDistances(decoder, s.bins);
  let { states: x, boxes } = found;
  let reference: Value | undefined;
  let corners: Value | undefined;
  const all = { logits: [] as Value[], boxes: [] as Value[], corners: [] as Value[], references: [] as Value[] };
  for (const [i, layer] of decoder.list('layers', s.decoder.layers).entries()) {
    const earlier = i === 0 ? undefined : x;
    const places = perceptron(decoder.at('query_pos_head'), boxes, [2 * s.hidden, s.hidden]);
    x = decoderLayer(layer, x, boxes, g.Max(g.Min(places, 10), -10), found, s);
    const scores = decoder.linear(`class_embed.${i}`, x, s.labels);
    if (!reference) {
      reference = g.Sigmoid(g.Add(boxNumbers(decoder.at('pre_bbox_head'), x), inverseSigmoid(decoder, boxes)));
      all.logits.push(scores);
      all.boxes.push(reference);
    }
    const head = decoder.at(`bbox_embed.${i}`);
    const refined = perceptron(head, earlier ? g.Add(x, earlier) : x, [s.hidden, s.hidden, 4 * (s.bins + 1)]);
    corners = corners ? g.Add(refined, corners) : refined;
    const shares = g.Softmax(g.Reshape(corners, [0, 0, 4, s.bins + 1]), -1);
    boxes = boxFrom(decoder, reference, g.ReduceSum(g.Mul(shares, distances), [3], false));
    all.logits.push(withQuality(decoder.at(`lqe_layers.${i}`), scores, corners, s));
    all.boxes.push(boxes);
    all.corners.push(corners);
    all.references.push(reference);
  }
  graph.output('logits', all.logits.at(-1)!);
  graph.output('pred_boxes', boxes);
  graph.output('last_hidden_state', x);
  if (!s.isAuxiliary) return;
  graph.output('intermediate_logits', stacked(m, all.logits));
  graph.output('intermediate_boxes', stacked(m, all.boxes));
  graph.output('corners', stacked(m, all.corners));
  graph.output('references', stacked(m, all.references));
}

export const dFine: Architecture = {
  modelType: 'd_fine',
  prefix: 'model',
  ...detectorHeads,
  classes: { DFineForObjectDetection: modelClass(sizes, dFineModel) },
};
