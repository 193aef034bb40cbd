/** @file DETR's head of masks: maps of attention of each box, refined up the backbone's pyramid. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { splitHeads } from '../../layers/attention.ts';
import type { Module } from '../../layers/module.ts';
import type { Activation } from '../../layers/activations.ts';
import type { Stack } from '../../layers/sizes.ts';

/** Sizes that masks depend on. */
export interface MaskSizes {
  readonly hidden: number;
  readonly queries: number;
  readonly act: Activation;
  readonly encoder: Pick<Stack, 'heads'>;
}

/** Values of a DETR that masks read. */
export interface MaskSources {
  /** States of the encoder `[batch, places, hidden]`. */
  readonly encoded: Value;
  /** The backbone's maps, the finest first. */
  readonly maps: readonly Value[];
  /** The last map as the encoder reads it `[batch, hidden, height, width]`. */
  readonly map: Value;
}

const EPSILON = 1e-5;
const GROUPS = 8;

/** Where each query looks, by heads that share one softmax: `[batch · queries, heads, height, width]`. */
function attentionMaps(m: Module, x: Value, { encoded, map }: MaskSources, { hidden, encoder }: MaskSizes): Value {
  const { g } = m;
  const { heads } = encoder;
  const q = splitHeads(m, m.linear('q_linear', x, hidden), heads);
  const k = splitHeads(m, m.linear('k_linear', encoded, hidden), heads);
  const scores = g.MatMul(g.Mul(q, Math.sqrt(heads / hidden)), g.Transpose(k, [0, 1, 3, 2]));
  const byQuery = g.Transpose(scores, [0, 2, 1, 3]);
  const shares = g.Softmax(g.Reshape(byQuery, [0, 0, -1]), -1);
  const plane = g.Slice(g.Shape(map), [2], [4], [0]);
  return g.Reshape(shares, g.Concat([g.ints([-1, heads]), plane], 0));
}

/** Repeats maps of images for each query: `[batch · queries, channels, height, width]`. */
function forQueries({ g }: Module, map: Value, queries: number): Value {
  const shape = g.Shape(map);
  const [batch, rest] = [g.Slice(shape, [0], [1], [0]), g.Slice(shape, [1], [4], [0])];
  const wide = g.Expand(g.Unsqueeze(map, [1]), g.Concat([batch, g.ints([queries]), rest], 0));
  return g.Reshape(wide, g.Concat([g.ints([-1]), rest], 0));
}

/** Scores of each query's pixels, at the size of the backbone's finest map: `[batch, queries, height, width]`. */
export function detrMasks(m: Module, x: Value, all: MaskSources, s: MaskSizes): Value {
  const { g } = m;
  const { hidden, queries, act, encoder } = s;
  const head = m.at('mask_head');
  const refined = (y: Value, number: number, out: number): Value => {
    const map = head.conv(`lay${number}`, y, { out, kernel: [3, 3], pads: [1, 1] });
    return act(g, head.groupNorm(`gn${number}`, map, Math.min(GROUPS, out), EPSILON));
  };
  const width = hidden + encoder.heads;
  const maps = attentionMaps(m.at('bbox_attention'), x, all, s);
  let y = refined(g.Concat([forQueries(m, all.map, queries), maps], 1), 1, width);
  y = refined(y, 2, hidden / 2);
  for (const [i, map] of all.maps.slice(0, 3).toReversed().entries()) {
    const own = hidden / 2 ** (i + 1);
    const finer = forQueries(m, head.conv(`adapter${i + 1}`, map, { out: own, kernel: [1, 1] }), queries);
    const attributes = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
    const larger = g.emit('Resize', [y, undefined, undefined, g.Shape(finer)], attributes);
    y = refined(g.Add(finer, larger), i + 3, own / 2);
  }
  const masks = head.conv('out_lay', y, { out: 1, kernel: [3, 3], pads: [1, 1] });
  const plane = g.Slice(g.Shape(masks), [2], [4], [0]);
  return g.Reshape(masks, g.Concat([g.ints([-1, queries]), plane], 0));
}
