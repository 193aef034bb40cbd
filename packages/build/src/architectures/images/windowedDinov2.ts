/** @file RF-DETR's DINOv2: most layers look within windows of the image; the maps of some layers are read. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Config } from '../../checkpoint/config.ts';
import { withTokens } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';
import { type Dinov2Sizes, dinov2Layer, dinov2Patches, dinov2Sizes } from './dinov2.ts';

export interface WindowedSizes extends Dinov2Sizes {
  /** Windows along a side. */
  readonly windows: number;
  /** Layers after which the map is read, counted from 1; a layer of these numbers, counted from 0, sees all windows. */
  readonly read: readonly number[];
  readonly isNormed: boolean;
}

export function windowedSizes(c: Config): WindowedSizes {
  c.only('model_type', 'rf_detr_dinov2');
  c.only('num_register_tokens', undefined, 0);
  c.only('reshape_hidden_states', true);
  // The layers within windows follow from those that are read.
  c.skip('window_block_indexes');
  const s = dinov2Sizes(c, 14);
  if (s.patch[0] !== s.patch[1]) throw c.unsupported('patch_size', 'Patches are squares.');
  return { ...s, isSmooth: true, windows: c.size('num_windows', 4), read: stagesRead(c, s.layers), isNormed: c.flag('apply_layernorm', true) }; // prettier-ignore
}

/** Numbers of `out_features` or `out_indices`: `stage2` is 2. */
function stagesRead(c: Config, layers: number): number[] {
  const name = c.has('out_features') ? 'out_features' : 'out_indices';
  const named: unknown = c.raw(name) ?? [layers];
  const numbers = (Array.isArray(named) ? named : [named]).map((each: unknown) => {
    const number = typeof each === 'string' ? Number(/^stage(\d+)$/.exec(each)?.[1]) : Number(each);
    return number < 0 ? layers + 1 + number : number;
  });
  if (numbers.length > 0 && numbers.every((each) => each >= 1 && each <= layers)) return numbers;
  throw c.unsupported(name, `Stages are 1 to ${layers}.`);
}

/**
 * Rows of a grid `[batch, places, hidden]` by windows, `[batch · windows², places ÷ windows², hidden]`. A window is as high
 * as a window's share of the width, as in transformers.
 */
function inWindows(
  m: Module,
  x: Value,
  { windows, hidden }: WindowedSizes,
  [height, width]: readonly [Value, Value],
): Value {
  const { g } = m;
  const grid = g.Reshape(x, g.Concat([g.ints([-1, windows]), width, g.ints([windows]), height, g.ints([hidden])], 0));
  const places = g.Mul(height, width);
  return g.Reshape(g.Transpose(grid, [0, 1, 3, 2, 4, 5]), g.Concat([g.ints([-1]), places, g.ints([hidden])], 0));
}

/** The map `[batch, hidden, height, width]` of windows' patches. */
function asMap(
  m: Module,
  x: Value,
  { windows, hidden }: WindowedSizes,
  [height, width]: readonly [Value, Value],
): Value {
  const { g } = m;
  const count = g.ints([windows]);
  const grid = g.Reshape(x, g.Concat([g.ints([-1]), count, count, height, width, g.ints([hidden])], 0));
  const plane = g.Mul(g.Concat([height, width], 0), count);
  const rows = g.Reshape(g.Transpose(grid, [0, 1, 3, 2, 4, 5]), g.Concat([g.ints([-1]), plane, g.ints([hidden])], 0));
  return g.Transpose(rows, [0, 3, 1, 2]);
}

/** Paths of attention in transformers 5. */
const paths = { layers: 'attention', names: ['q_proj', 'k_proj', 'v_proj'], output: 'attention.o_proj' } as const;

/** The maps of the layers that are read: `[batch, hidden, height, width]`. */
export function windowedMaps(m: Module, pixels: Value, s: WindowedSizes): Value[] {
  const { g } = m;
  const { classToken, patches } = dinov2Patches(m.at('embeddings'), pixels, s);
  const share = (axis: number): Value => g.Div(m.sizeOf(pixels, axis), g.ints([s.patch[0] * s.windows]));
  const plane = [share(2), share(3)] as const;
  const parts = s.windows > 1 ? inWindows(m, patches, s, plane) : patches;
  let x = withTokens(m, parts, [classToken]);
  const batch = m.sizeOf(pixels, 0);
  const maps: Value[] = [];
  for (const [i, layer] of m.list('encoder.layer', s.layers).entries()) {
    const isWide = s.windows > 1 && (s.read.includes(i) || i > s.read.at(-1)!);
    const seen = isWide ? g.Reshape(x, g.Concat([batch, g.ints([-1, s.hidden])], 0)) : x;
    x = dinov2Layer(layer, x, s, seen, paths);
    if (!s.read.includes(i + 1)) continue;
    const normed = s.isNormed ? m.layerNorm('layernorm', x, s.eps) : x;
    maps.push(asMap(m, g.Slice(normed, [1], [Number.MAX_SAFE_INTEGER], [1]), s, plane));
  }
  return maps;
}
