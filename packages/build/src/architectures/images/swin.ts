/** @file Swin: Liu et al. 2021, "Hierarchical vision transformer using shifted windows". */

import { int64 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, classifierClass, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../../layers/activations.ts';
import { selfAttention } from '../../layers/attention.ts';
import { patchEmbedding, pixelValues } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';
import { fromWindows, intoWindows, shiftMask, windowDistances, type Windows } from '../../layers/images/windows.ts';

export interface SwinSizes {
  readonly channels: number;
  readonly image: readonly [number, number];
  readonly patch: readonly [number, number];
  readonly hidden: number;
  readonly depths: readonly number[];
  readonly heads: readonly number[];
  readonly window: number;
  readonly mlpRatio: number;
  readonly act: Activation;
  readonly eps: number;
  readonly qkvBias: boolean;
  readonly hasPositions: boolean;
}

/** Epsilon of the norms after patches and merging, whatever config.json says. */
export const SWIN_EPSILON = 1e-5;

/** Reads the fields of both versions. */
export function swinSizes(c: Config): SwinSizes {
  c.skip('hidden_size', 'num_layers', 'encoder_stride', 'path_norm', 'out_features', 'out_indices', 'stage_names');
  const s = {
    channels: c.size('num_channels', 3),
    image: c.pair('image_size', 224),
    patch: c.pair('patch_size', 4),
    hidden: c.size('embed_dim', 96),
    depths: c.sizes('depths', [2, 2, 6, 2]),
    heads: c.sizes('num_heads', [3, 6, 12, 24]),
    window: c.size('window_size', 7),
    mlpRatio: c.number('mlp_ratio', 4),
    act: c.activation('hidden_act', 'gelu'),
    eps: c.number('layer_norm_eps', 1e-5),
    qkvBias: c.flag('qkv_bias', true),
    hasPositions: c.flag('use_absolute_embeddings', false),
  };
  if (s.heads.length !== s.depths.length) throw c.unsupported('num_heads', `There are ${s.depths.length} stages.`);
  return s;
}

function sizes(c: Config): SwinSizes {
  const s = swinSizes(c);
  const last = maps(s).at(-1)!;
  // Distance biases assume a full window.
  if (Math.min(...last) < s.window)
    throw c.unsupported('window_size', `The last stage has only ${last.join(' × ')} tokens.`);
  return s;
}

/** `[height, width]` of each stage's map. */
export function maps({ image, patch, depths }: SwinSizes): [height: number, width: number][] {
  return depths.map((_, i) => image.map((size, axis) => Math.ceil(Math.ceil(size / patch[axis]!) / 2 ** i)) as [number, number]); // prettier-ignore
}

/** Normalised patches: `[batch, height · width, hidden]`. */
function swinEmbeddings(m: Module, s: SwinSizes): Value {
  const [below, right] = s.image.map((size, axis) => -size + s.patch[axis]! * Math.ceil(size / s.patch[axis]!)) as [number, number]; // prettier-ignore
  const pixels = pixelValues(m, s);
  const padded = below + right === 0 ? pixels : m.g.Pad(pixels, [0, 0, 0, 0, 0, 0, below, right]);
  const x = m.layerNorm('norm', patchEmbedding(m.at('patch_embeddings'), padded, s), SWIN_EPSILON);
  return s.hasPositions ? m.g.Add(x, m.parameter('position_embeddings', [1, Number(x.shape![1]), s.hidden])) : x;
}

/** Windows of block `index`: every second block is shifted if there is more than one window. */
function windowsOf(map: readonly [number, number], side: number, index: number): Windows {
  const shift = index % 2 === 1 && Math.min(...map) > side ? Math.floor(side / 2) : 0;
  return { map, side, shift };
}

function block(m: Module, x: Value, windows: Windows, heads: number, s: SwinSizes): Value {
  const width = Number(x.shape!.at(-1));
  const attended = attention(m.at('attention'), m.layerNorm('layernorm_before', x, s.eps), windows, heads, s);
  x = m.g.Add(x, attended);
  const inner = m.linear(
    'intermediate.dense',
    m.layerNorm('layernorm_after', x, s.eps),
    Math.trunc(s.mlpRatio * width),
  );
  return m.g.Add(x, m.linear('output.dense', s.act(m.g, inner), width));
}

function attention(m: Module, x: Value, windows: Windows, heads: number, { qkvBias }: SwinSizes): Value {
  const self = m.at('self');
  const { g } = self;
  const { side, shift } = windows;
  const table = self.parameter('relative_position_bias_table', [(2 * side - 1) ** 2, heads]);
  const distances = g.constant(int64(windowDistances(side), [side ** 2, side ** 2]));
  const bias = g.Unsqueeze(g.Transpose(g.Gather(table, distances, 0), [2, 0, 1]), [0]);
  const mask = shift ? g.Add(bias, perImage(self, shiftMask(self, windows, -100), x)) : bias;
  const names = ['query', 'key', 'value'] as const;
  const context = selfAttention(self, intoWindows(self, x, windows), { names, heads, bias: qkvBias, mask });
  return fromWindows(m, m.linear('output.dense', context, Number(x.shape!.at(-1))), windows);
}

/** Repeats `[windows, …]` for each image of x: `[batch · windows, …]`. */
export function perImage(m: Module, each: Value, x: Value): Value {
  const { g } = m;
  const dims = each.shape as readonly number[];
  const all = g.Expand(g.Unsqueeze(each, [0]), g.Concat([m.sizeOf(x, 0), g.ints(dims)], 0));
  return g.Reshape(all, [-1, ...dims.slice(1)]);
}

/** Concatenates 2 × 2 neighbours, column by column: `[batch, tokens ÷ 4, 4 · width]`; pads odd sides. */
function neighbours({ g }: Module, x: Value, [height, width]: readonly [number, number]): Value {
  const channels = Number(x.shape!.at(-1));
  const square = g.Reshape(x, [-1, height, width, channels]);
  const isOdd = height % 2 === 1 || width % 2 === 1;
  const even = isOdd ? g.Pad(square, [0, 0, 0, 0, 0, height % 2, width % 2, 0]) : square;
  const [rows, columns] = [Math.ceil(height / 2), Math.ceil(width / 2)];
  const split = g.Transpose(g.Reshape(even, [-1, rows, 2, columns, 2, channels]), [0, 1, 3, 4, 2, 5]);
  return g.Reshape(split, [-1, rows * columns, 4 * channels]);
}

type Merge = (m: Module, four: Value, width: number) => Value;
/** A block; `index` is its place in the stage. */
type Block = (m: Module, x: Value, stage: number, index: number) => Value;

/** Stages of blocks, and the last norm: `[batch, tokens, width]`. */
export function swinStages(m: Module, s: SwinSizes, block: Block, merge: Merge): Value {
  const all = maps(s);
  let x = swinEmbeddings(m.at('embeddings'), s);
  for (const [i, stage] of m.list('encoder.layers', all.length).entries()) {
    for (const [j, each] of stage.list('blocks', s.depths[i]!).entries()) x = block(each, x, i, j);
    if (i < all.length - 1)
      x = merge(stage.at('downsample'), neighbours(stage, x, all[i]!), 2 * Number(x.shape!.at(-1)));
  }
  return m.layerNorm('layernorm', x, s.eps);
}

function states(m: Module, s: SwinSizes): Value {
  const all = maps(s);
  const merge: Merge = (each, four, width) => each.linear('reduction', each.layerNorm('norm', four, SWIN_EPSILON), width, { bias: false }); // prettier-ignore
  return swinStages(m, s, (each, x, i, j) => block(each, x, windowsOf(all[i]!, s.window, j), s.heads[i]!, s), merge);
}

/** Classes of a Swin version, given its states. */
export function swinClasses(name: string, prefix: string, read: (c: Config) => (m: Module) => Value): Architecture {
  return {
    modelType: prefix,
    prefix,
    others: /^classifier\.|^decoder\.|mask_token$/,
    classes: {
      [`${name}Model`]: modelClass(read, (m, states) => {
        const x = states(m);
        m.graph.output('last_hidden_state', x);
        m.graph.output('pooler_output', m.g.ReduceMean(x, [1], false));
      }),
      [`${name}ForImageClassification`]: classifierClass(read, (m, states) =>
        m.g.ReduceMean(states(m.at(prefix)), [1], false),
      ),
    },
  };
}

export const swin: Architecture = swinClasses('Swin', 'swin', (c) => {
  const s = sizes(c);
  return (m) => states(m, s);
});
