/** @file RT-DETR: Zhao et al. 2023, "DETRs beat YOLOs on real-time object detection"; and version 2, Lv et al. 2024. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, modelClass } from '../../architecture.ts';
import { aroundBoxes, deformableAttention, type OffsetScale } from '../../layers/images/deformable.ts';
import {
  boxNumbers,
  detectorOutputs,
  inverseSigmoid,
  lookingAttention,
  perceptron,
} from '../../layers/images/detection.ts';
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

interface RtDetrSizes extends HybridSizes {
  /** Scale of the offsets of sampled places. */
  readonly offsets: OffsetScale;
}

const BLOCKS = 3;

function pyramid(s: HybridSizes): Pyramid {
  const { hidden } = s.encoder;
  const width = Math.floor(hidden * s.expansion);
  return {
    lateral: (m, x) => neckConvolution(m, x, s, { out: hidden, kernel: 1, act: s.act }),
    down: (m, x) => neckConvolution(m, x, s, { out: hidden, kernel: 3, stride: 2, act: s.act }),
    block: (m, x) => crossStage(m, x, s, BLOCKS, hidden, width),
  };
}

function decoderLayer(m: Module, x: Value, boxes: Value, places: Value, { levels }: Proposals, s: RtDetrSizes): Value {
  const { g } = m;
  const { heads, inner, act } = s.decoder;
  const added = (name: string, a: Value, b: Value): Value => m.layerNorm(name, g.Add(a, b), s.eps);
  const own = lookingAttention(m.at('self_attn'), { x, from: x, places: [places, places], heads });
  const asked = added('self_attn_layer_norm', x, own);
  const locate = aroundBoxes(m.at('encoder_attn'), boxes, s.offsets);
  const sampling = { x: g.Add(asked, places), levels, points: s.points, heads, locate };
  const seen = added('encoder_attn_layer_norm', asked, deformableAttention(m.at('encoder_attn'), sampling));
  return added('final_layer_norm', seen, m.linear('fc2', act(g, m.linear('fc1', seen, inner)), s.hidden));
}

function rtDetrModel(m: Module, s: RtDetrSizes): void {
  const model = m.at('model');
  const maps = encodedPyramid(model, s, pyramid(s));
  const last = maps.length;
  const projected = Array.from({ length: Math.max(s.levels, last) }, (_, i) =>
    projectedMap(model.at(`decoder_input_proj.${i}`), maps[Math.min(i, last - 1)]!, s, i >= last),
  );
  const found = proposals(model, projected, s);
  const decoder = model.at('decoder');
  let { states: x, boxes } = found;
  const each: { readonly x: Value; readonly boxes: Value }[] = [];
  for (const [i, layer] of decoder.list('layers', s.decoder.layers).entries()) {
    const places = perceptron(decoder.at('query_pos_head'), boxes, [2 * s.hidden, s.hidden]);
    x = decoderLayer(layer, x, boxes, places, found, s);
    const moved = boxNumbers(decoder.at(`bbox_embed.${i}`), x);
    boxes = decoder.g.Sigmoid(decoder.g.Add(moved, inverseSigmoid(decoder, boxes)));
    each.push({ x, boxes });
  }
  const states = each.map((layer) => layer.x);
  detectorOutputs(m, { last: x, each: states }, {
    isAuxiliary: s.isAuxiliary,
    logits: (state, i) => decoder.linear(`class_embed.${i}`, state, s.labels),
    boxes: (_, i) => each[i]!.boxes,
  }); // prettier-ignore
  m.graph.output('last_hidden_state', x);
}

/** Heads stand in the decoder or beside the model, one per layer or one for all, and denoising is of training. */
export const detectorHeads: Required<Pick<Architecture, 'others' | 'copies'>> = {
  others: /^(?:class|bbox)_embed\.|^model\.decoder\.(?:class|bbox)_embed\.|denoising_class_embed\./,
  copies: (name) => {
    const [, inDecoder, head, layer, rest] =
      /^(model\.decoder\.)?((?:class|bbox)_embed)\.(\d+)\.(.*)$/.exec(name) ?? [];
    if (head === undefined) return [];
    const [own, other] = inDecoder ? [inDecoder, ''] : ['', 'model.decoder.'];
    return [`${other}${head}.${layer}.${rest}`, `${own}${head}.0.${rest}`, `${other}${head}.0.${rest}`];
  },
};

export const rtDetr: Architecture = {
  modelType: 'rt_detr',
  prefix: 'model',
  ...detectorHeads,
  classes: {
    RTDetrForObjectDetection: modelClass((c) => {
      const s = hybridSizes(c, { types: ['rt_detr_resnet', 'resnet'], stages: [2, 3, 4] });
      return { ...s, offsets: { points: s.points, scale: 0.5 } };
    }, rtDetrModel),
  },
};

export const rtDetrV2: Architecture = {
  modelType: 'rt_detr_v2',
  prefix: 'model',
  ...detectorHeads,
  classes: {
    RTDetrV2ForObjectDetection: modelClass((c) => {
      const s = hybridSizes(c, { types: ['rt_detr_resnet', 'resnet'], stages: [2, 3, 4] });
      // The other method takes the nearest place.
      c.only('decoder_method', 'default');
      c.only('decoder_n_levels', s.levels);
      const scale = c.number('decoder_offset_scale', 0.5);
      return { ...s, offsets: { points: s.points, scale, stored: 'n_points_scale' } };
    }, rtDetrModel),
  },
};
