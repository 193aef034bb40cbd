/** @file ConvNeXt: Liu et al. 2022, "A ConvNet for the 2020s". */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, classifierClass, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../../layers/activations.ts';
import { pixelValues } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';

interface Sizes {
  readonly channels: number;
  readonly patch: readonly [number, number];
  /** Depth and width per stage. */
  readonly stages: readonly { readonly depth: number; readonly width: number }[];
  readonly act: Activation;
  /** Epsilon of the last norm only. */
  readonly eps: number;
  /** Layer scale. */
  readonly isScaled: boolean;
}

/** Epsilon of all other norms. */
const EPSILON = 1e-6;

function sizes(c: Config): Sizes {
  c.skip('image_size', 'out_features', 'out_indices', 'stage_names');
  const widths = c.sizes('hidden_sizes', [96, 192, 384, 768]);
  const depths = c.sizes('depths', [3, 3, 9, 3]);
  const count = c.size('num_stages', 4);
  if (widths.length !== count) throw c.unsupported('hidden_sizes', `There are ${count} stages.`);
  if (depths.length !== count) throw c.unsupported('depths', `There are ${count} stages.`);
  return {
    channels: c.size('num_channels', 3),
    patch: c.pair('patch_size', 4),
    stages: widths.map((width, i) => ({ width, depth: depths[i]! })),
    act: c.activation('hidden_act', 'gelu'),
    eps: c.number('layer_norm_eps', 1e-12),
    isScaled: c.number('layer_scale_init_value', 1e-6) > 0,
  };
}

function block(m: Module, x: Value, width: number, { act, isScaled }: Sizes): Value {
  const { g } = m;
  const y = m.conv('dwconv', x, { out: width, kernel: [7, 7], pads: [3, 3], groups: width });
  const normed = m.layerNorm('layernorm', g.Transpose(y, [0, 2, 3, 1]), EPSILON);
  const wide = m.linear('pwconv2', act(g, m.linear('pwconv1', normed, 4 * width)), width);
  const scaled = isScaled ? g.Mul(wide, m.parameter('layer_scale_parameter', [width])) : wide;
  return g.Add(x, g.Transpose(scaled, [0, 3, 1, 2]));
}

/** The last map `[batch, width, height, width]`, and its normalised mean. */
function states(m: Module, s: Sizes): { readonly map: Value; readonly pooled: Value } {
  const embeddings = m.at('embeddings');
  const patches = { out: s.stages[0]!.width, kernel: s.patch, strides: s.patch };
  let x = embeddings.channelNorm('layernorm', embeddings.conv('patch_embeddings', pixelValues(m, { channels: s.channels }), patches), EPSILON); // prettier-ignore
  for (const [i, { depth, width }] of s.stages.entries()) {
    const stage = m.at(`encoder.stages.${i}`);
    if (i > 0) {
      const normed = stage.channelNorm('downsampling_layer.0', x, EPSILON);
      x = stage.conv('downsampling_layer.1', normed, { out: width, kernel: [2, 2], strides: [2, 2] });
    }
    for (const each of stage.list('layers', depth)) x = block(each, x, width, s);
  }
  return { map: x, pooled: m.layerNorm('layernorm', m.g.ReduceMean(x, [2, 3], false), s.eps) };
}

export const convnext: Architecture = {
  modelType: 'convnext',
  prefix: 'convnext',
  others: /^classifier\./,
  classes: {
    ConvNextModel: modelClass(sizes, (m, s) => {
      const { map, pooled } = states(m, s);
      m.graph.output('last_hidden_state', map);
      m.graph.output('pooler_output', pooled);
    }),
    ConvNextForImageClassification: classifierClass(sizes, (m, s) => states(m.at('convnext'), s).pooled),
  },
};
