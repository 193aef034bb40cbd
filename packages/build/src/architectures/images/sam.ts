/** @file SAM: Kirillov et al. 2023, "Segment anything". The encoder of images; prompts and masks are in `samMasks.ts`. */

import { float32, int64 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { attend, splitHeads } from '../../layers/attention.ts';
import { patchEmbedding, pixelValues } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';
import { fromWindows, intoWindows } from '../../layers/images/windows.ts';
import { maskGraph, type MaskSizes, maskSizes, placed, positionTable, SAM_EPSILON, samMlp } from './samMasks.ts';
import { tableOf } from '../../layers/bounds.ts';
import type { VitSizes } from './vit.ts';

interface VisionSizes extends VitSizes {
  readonly side: number;
  readonly out: number;
  /** Window side per layer; undefined is the whole image. */
  readonly windows: readonly (number | undefined)[];
  readonly hasPositions: boolean;
  readonly hasDistances: boolean;
}

function visionSizes(c: Config): VisionSizes {
  c.skip('scale', 'intermediate_size', 'projection_dim');
  const [image, patch, layers] = [
    c.size('image_size', 1024),
    c.size('patch_size', 16),
    c.size('num_hidden_layers', 12),
  ];
  const hidden = c.size('hidden_size', 768);
  const all = c.numbers('global_attn_indexes', [2, 5, 8, 11]);
  const isCut = tableOf(layers, (i) => !all.includes(i));
  c.skip('window_size', 'mlp_ratio');
  const window = isCut.includes(true) ? c.whole('window_size', 14) : 0;
  return {
    hidden,
    layers,
    heads: c.divisor('num_attention_heads', hidden, 12),
    inner: c.has('mlp_dim') ? c.size('mlp_dim') : Math.trunc(hidden * c.number('mlp_ratio', 4)),
    act: c.activation('hidden_act', 'gelu'),
    eps: c.number('layer_norm_eps', 1e-6),
    qkvBias: c.flag('qkv_bias', true),
    channels: c.size('num_channels', 3),
    image: [image, image],
    patch: [patch, patch],
    side: Math.floor(image / patch),
    out: c.size('output_channels', 256),
    windows: isCut.map((each) => (each && window > 0 ? window : undefined)),
    hasPositions: c.flag('use_abs_pos', true),
    hasDistances: c.flag('use_rel_pos', true),
  };
}

function layer(m: Module, x: Value, window: number | undefined, s: VisionSizes): Value {
  const normed = m.layerNorm('layer_norm1', x, s.eps);
  const windows = { map: [s.side, s.side], side: window ?? s.side } as const;
  const cut = window === undefined ? normed : intoWindows(m, normed, windows);
  const attended = attention(m.at('attn'), cut, windows.side, s);
  x = m.g.Add(x, window === undefined ? attended : fromWindows(m, attended, windows));
  return m.g.Add(x, samMlp(m.at('mlp'), m.layerNorm('layer_norm2', x, s.eps), s));
}

/** Attention within squares: `[windows, side², hidden]` → the same. */
function attention(m: Module, x: Value, side: number, s: VisionSizes): Value {
  const { hidden, heads } = s;
  const packed = m.linear('qkv', x, 3 * hidden, { bias: s.qkvBias });
  const [q, k, v] = m.g.Split(packed, [hidden, hidden, hidden], -1).map((each) => splitHeads(m, each, heads)) as [Value, Value, Value]; // prettier-ignore
  return m.linear('proj', attend(m, { q, k, v, mask: s.hasDistances ? distances(m, q, side) : undefined }), hidden);
}

/** Decomposed distance bias by row and column distance: Li et al. 2021, "MViTv2". */
function distances(m: Module, q: Value, side: number): Value {
  const { g } = m;
  const [heads, size] = [Number(q.shape![1]), Number(q.shape![3])];
  const away = tableOf(side ** 2, (i) => Math.floor(i / side) - (i % side) + side - 1);
  const square = g.Reshape(q, [-1, heads, side, side, size]);
  // Per row, or column, of queries: `[side, size, side]`.
  const vectors = (name: string): Value => {
    const table = m.parameter(name, [2 * side - 1, size]);
    return g.Transpose(g.Gather(table, g.constant(int64(away, [side, side])), 0), [0, 2, 1]);
  };
  const rows = g.MatMul(square, vectors('rel_pos_h'));
  const columns = g.MatMul(g.Transpose(square, [0, 1, 3, 2, 4]), vectors('rel_pos_w'));
  const sum = g.Add(g.Unsqueeze(rows, [5]), g.Unsqueeze(g.Transpose(columns, [0, 1, 3, 2, 4]), [4]));
  return g.Reshape(sum, [-1, heads, side ** 2, side ** 2]);
}

/** Map for the mask decoder: `[batch, out, side, side]`. */
function imageEmbeddings(m: Module, s: VisionSizes): Value {
  const { g } = m;
  const { side, hidden, out } = s;
  let x = patchEmbedding(m.at('patch_embed'), pixelValues(m, s), s);
  if (s.hasPositions)
    x = g.Add(x, g.Reshape(m.parameter('pos_embed', [1, side, side, hidden]), [1, side ** 2, hidden]));
  for (const [i, each] of m.list('layers', s.layers).entries()) x = layer(each, x, s.windows[i], s);
  const neck = m.at('neck');
  const map = g.Reshape(g.Transpose(x, [0, 2, 1]), [-1, hidden, side, side]);
  const narrow = neck.channelNorm('layer_norm1', neck.conv('conv1', map, { out, kernel: [1, 1], bias: false }), SAM_EPSILON); // prettier-ignore
  const mixed = neck.conv('conv2', narrow, { out, kernel: [3, 3], pads: [1, 1], bias: false });
  return neck.channelNorm('layer_norm2', mixed, SAM_EPSILON);
}

/** Positions of all places, per image: `[batch, 2 · waves, side, side]`. */
function imagePositions(m: Module, x: Value, { side, waves }: MaskSizes): Value {
  const { g } = m;
  const middle = (place: number): number => (place + 0.5) / side;
  const places = tableOf(side ** 2, (i) => [middle(i % side), middle(Math.floor(i / side))]).flat();
  const waved = placed(m, g.constant(float32(places, [1, side, side, 2])), positionTable(m, waves, 'image'));
  return g.Expand(g.Transpose(waved, [0, 3, 1, 2]), g.Concat([m.sizeOf(x, 0), g.ints([1, 1, 1])], 0));
}

export const sam: Architecture = {
  modelType: 'sam',
  prefix: 'sam',
  others: /^prompt_encoder\.(?:mask_embed|point_embed)\.|^mask_decoder\.output_hypernetworks_mlps\.0\./,
  classes: {
    SamModel: (c) => {
      const vision = c.inner('vision_config');
      const s = visionSizes(vision);
      const masks = maskSizes(c.inner('prompt_encoder_config'), c.inner('mask_decoder_config'), vision);
      return {
        vision_encoder: (m) => {
          const map = imageEmbeddings(m.at('vision_encoder'), s);
          m.graph.output('image_embeddings', map);
          m.graph.output('image_positional_embeddings', imagePositions(m, map, masks));
        },
        prompt_encoder_mask_decoder: (m) => maskGraph(m, masks),
      };
    },
  },
};
