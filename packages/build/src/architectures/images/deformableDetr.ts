/** @file Deformable DETR: Zhu et al. 2020, "Deformable transformers for end-to-end object detection". */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import {
  aroundBoxes,
  aroundPoints,
  deformableAttention,
  type Levels,
  levelsOf,
  type Sampling,
} from '../../layers/images/deformable.ts';
import { boxNumbers, detectorOutputs, inverseSigmoid, lookingAttention } from '../../layers/images/detection.ts';
import { learnedPositions, sinePositions, sinesOf } from '../../layers/images/planePositions.ts';
import type { Module } from '../../layers/module.ts';
import { added, detrMlp, type DetrSizes, detrSizes } from './detr.ts';
import { anchors, taken } from './hybridEncoder.ts';
import { detectorHeads } from './rtDetr.ts';

interface DeformableSizes extends DetrSizes {
  readonly levels: number;
  /** Points per head of each level. */
  readonly points: { readonly encoder: readonly number[]; readonly decoder: readonly number[] };
  /** Whether each layer refines the boxes of the one before. */
  readonly refines: boolean;
  /** Number of the encoder's best places that are queries, if they are. */
  readonly proposals?: number | undefined;
  readonly labels: number;
}

const GROUPS = 32;

function sizes(c: Config): DeformableSizes {
  c.skip('return_intermediate', 'disable_custom_kernels', 'two_stage_num_proposals');
  const isProposed = c.flag('two_stage', false);
  const levels = c.size('num_feature_levels', 4);
  const stages = levels > 1 ? [2, 3, 4] : [4];
  const s = detrSizes(c, {
    inner: 1024,
    queries: isProposed ? undefined : 300,
    kinds: { types: ['resnet', 'timm_backbone'], stages },
  });
  if (s.hidden % GROUPS !== 0) throw c.unsupported('d_model', `Its norms have ${GROUPS} groups.`);
  const points = (name: string): number[] => Array<number>(levels).fill(c.size(`${name}_n_points`, 4));
  return {
    ...s,
    levels,
    points: { encoder: points('encoder'), decoder: points('decoder') },
    refines: c.flag('with_box_refine', false),
    proposals: isProposed ? c.size('two_stage_num_proposals', 300) : undefined,
    labels: c.labels(),
  };
}

/** Maps of all levels `[batch, hidden, height, width]`; the coarsest ones are made of the last. */
function projectedMaps(m: Module, s: DeformableSizes): Value[] {
  const stages = s.backbone(m.at('backbone.conv_encoder.model'));
  const maps: Value[] = [];
  for (let i = 0; i < s.levels; i++) {
    const own = m.at(`input_proj.${i}`);
    const from = stages[i] ?? (i === stages.length ? stages.at(-1)! : maps.at(-1)!);
    const sizes = stages[i] ? { kernel: [1, 1] } : { kernel: [3, 3], strides: [2, 2], pads: [1, 1] };
    maps.push(own.groupNorm('1', own.conv('0', from, { out: s.hidden, ...sizes }), GROUPS, 1e-5));
  }
  return maps;
}

/** Centres of all places in shares of the image: `[1, places, 2]`. */
function centers(m: Module, { planes }: Levels): Value {
  const { g } = m;
  const all = planes.map((plane) => {
    const [height, width] = [0, 1].map((i) => g.Slice(plane, [i], [i + 1], [0])) as [Value, Value];
    const shares = (count: Value): Value => g.Div(g.Add(m.floats(m.range(0, count)), 0.5), m.floats(count));
    const sides = g.Concat([plane, g.ints([1])], 0);
    const x = g.Expand(g.Unsqueeze(shares(width), [0, 2]), sides);
    const y = g.Expand(g.Unsqueeze(shares(height), [1, 2]), sides);
    return g.Reshape(g.Concat([x, y], 2), [1, -1, 2]);
  });
  return g.Concat(all, 1);
}

function encoded(m: Module, s: DeformableSizes): Levels {
  const { g } = m;
  const maps = projectedMaps(m, s);
  const levels = levelsOf(m, maps);
  const table = m.parameter('level_embed', [s.levels, s.hidden]);
  const positions = maps.map((map, i) => {
    const own = s.isLearned ? learnedPositions(m, map, s.hidden) : sinePositions(m, map, s.hidden, 0.5);
    return g.Add(own, g.Slice(table, [i], [i + 1], [0]));
  });
  const places = g.Concat(positions, 1);
  const locate = aroundPoints(m, centers(m, levels), levels, s.points.encoder);
  let x = levels.sequence;
  for (const layer of m.list('encoder.layers', s.encoder.layers)) {
    const asked = { x: g.Add(x, places), levels: { ...levels, sequence: x }, points: s.points.encoder, heads: s.encoder.heads, locate }; // prettier-ignore
    const seen = added(layer, 'self_attn_layer_norm', x, deformableAttention(layer.at('self_attn'), asked));
    x = detrMlp(layer, seen, s.encoder.inner, s);
  }
  return { ...levels, sequence: x };
}

/** Where the decoder begins. */
interface Start {
  readonly states: Value;
  readonly positions: Value;
  /** Points or boxes in shares of the image: `[batch, queries, 2 or 4]`. */
  readonly references: Value;
}

/** Learned queries, each with a point. */
function learnedStart(m: Module, levels: Levels, s: DeformableSizes): Start {
  const { g } = m;
  const table = m.at('query_position_embeddings').parameter('weight', [s.queries, 2 * s.hidden]);
  const batch = m.sizeOf(levels.sequence, 0);
  const wide = g.Expand(g.Unsqueeze(table, [0]), g.Concat([batch, g.ints([s.queries, 2 * s.hidden])], 0));
  const [positions, states] = g.Split(wide, [s.hidden, s.hidden], 2) as [Value, Value];
  return { states, positions, references: g.Sigmoid(m.linear('reference_points', positions, 2)) };
}

/** The encoder's best places, by the first class. */
function proposedStart(m: Module, levels: Levels, s: DeformableSizes, count: number): Start {
  const { g } = m;
  const { numbers, valid } = anchors(m, levels.planes);
  const normed = m.layerNorm('enc_output_norm', m.linear('enc_output', g.Mul(valid, levels.sequence), s.hidden), 1e-5);
  const decoder = m.at('decoder');
  const head = s.decoder.layers;
  const scores = decoder.linear(`class_embed.${head}`, normed, s.labels);
  const boxes = g.Add(boxNumbers(decoder.at(`bbox_embed.${head}`), normed), numbers);
  const first = g.Squeeze(g.Slice(scores, [0], [1], [2]), [2]);
  const [, places] = g.emitMany('TopK', [first, g.ints([count])], 2, { axis: 1 }) as [Value, Value];
  const references = g.Sigmoid(taken(m, boxes, places));
  const sines = sinesOf(m, references, s.hidden / 2, false);
  const wide = m.layerNorm('pos_trans_norm', m.linear('pos_trans', sines, 2 * s.hidden), 1e-5);
  const [positions, states] = g.Split(wide, [s.hidden, s.hidden], 2) as [Value, Value];
  return { states, positions, references };
}

/** `numbers` moved from a reference, as shares. */
function movedBox(m: Module, numbers: Value, references: Value): Value {
  const { g } = m;
  const from = inverseSigmoid(m, references);
  return g.Sigmoid(g.Add(numbers, from.shape!.at(-1) === 2 ? g.Pad(from, [0, 0, 0, 0, 0, 2]) : from));
}

function deformableModel(m: Module, s: DeformableSizes): void {
  const model = m.at('model');
  const { g } = model;
  const levels = encoded(model, s);
  const start = s.proposals === undefined ? learnedStart(model, levels, s) : proposedStart(model, levels, s, s.proposals); // prettier-ignore
  const decoder = model.at('decoder');
  const { heads, inner, layers } = s.decoder;
  const { positions } = start;
  let { states: x, references } = start;
  const each: { readonly x: Value; readonly references: Value }[] = [];
  for (const [i, layer] of decoder.list('layers', layers).entries()) {
    const own = lookingAttention(layer.at('self_attn'), { x, from: x, places: [positions, positions], heads });
    const asked = added(layer, 'self_attn_layer_norm', x, own);
    const points = s.points.decoder;
    const locate: Sampling['locate'] =
      references.shape!.at(-1) === 2
        ? aroundPoints(layer, references, levels, points)
        : aroundBoxes(layer, references, { points, scale: 0.5 });
    const seen = deformableAttention(layer.at('encoder_attn'), { x: g.Add(asked, positions), levels, points, heads, locate }); // prettier-ignore
    x = detrMlp(layer, added(layer, 'encoder_attn_layer_norm', asked, seen), inner, s);
    each.push({ x, references });
    if (s.refines && i < layers - 1) references = movedBox(decoder, boxNumbers(decoder.at(`bbox_embed.${i}`), x), references); // prettier-ignore
  }
  const states = each.map((layer) => layer.x);
  detectorOutputs(m, { last: x, each: states }, {
    isAuxiliary: s.isAuxiliary,
    logits: (state, i) => m.linear(`class_embed.${i}`, state, s.labels),
    boxes: (state, i) => movedBox(m, boxNumbers(m.at(`bbox_embed.${i}`), state), each[i]!.references),
  }); // prettier-ignore
  m.graph.output('last_hidden_state', x);
  m.graph.output('encoder_last_hidden_state', levels.sequence);
}

export const deformableDetr: Architecture = {
  modelType: 'deformable_detr',
  prefix: 'model',
  ...detectorHeads,
  classes: { DeformableDetrForObjectDetection: modelClass(sizes, deformableModel) },
};
