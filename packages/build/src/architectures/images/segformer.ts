/** @file SegFormer: Xie et al. 2021, "Simple and efficient design for semantic segmentation with transformers". */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, classifierClass, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../../layers/activations.ts';
import { selfAttention } from '../../layers/attention.ts';
import type { Module } from '../../layers/module.ts';
import { asSequence, pixelValues } from '../../layers/images/patches.ts';

interface Stage {
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  readonly inner: number;
  readonly patch: number;
  readonly stride: number;
  /** Downsampling of keys and values. */
  readonly reduction: number;
}

interface Sizes {
  readonly channels: number;
  readonly stages: readonly Stage[];
  readonly act: Activation;
}

/** Fixed in all norms, whatever config.json says. */
const EPSILON = 1e-5;

function sizes(c: Config): Sizes {
  // Old configs repeat image sizes and strides.
  c.skip('layer_norm_eps', 'image_size', 'downsampling_rates');
  const count = c.size('num_encoder_blocks', 4);
  const list = (name: string, absent: readonly number[]): readonly number[] => {
    const all = c.numbers(name, absent);
    if (all.length !== count) throw c.unsupported(name, `There are ${count} stages.`);
    return all;
  };
  const widths = list('hidden_sizes', [32, 64, 160, 256]);
  const depths = list('depths', [2, 2, 2, 2]);
  const heads = list('num_attention_heads', [1, 2, 5, 8]);
  const ratios = list('mlp_ratios', [4, 4, 4, 4]);
  const patches = list('patch_sizes', [7, 3, 3, 3]);
  const strides = list('strides', [4, 2, 2, 2]);
  const reductions = list('sr_ratios', [8, 4, 2, 1]);
  return {
    channels: c.size('num_channels', 3),
    stages: widths.map((width, i) => ({
      width,
      depth: depths[i]!,
      heads: heads[i]!,
      inner: Math.trunc(width * ratios[i]!),
      patch: patches[i]!,
      stride: strides[i]!,
      reduction: reductions[i]!,
    })),
    act: c.activation('hidden_act', 'gelu'),
  };
}

/** `[batch, height · width, width]` → `[batch, width, height, width]`, of the size of `like`. */
function asMap({ g }: Module, x: Value, like: Value): Value {
  const size = g.Slice(g.Shape(like), [2], [4], [0]);
  return g.Reshape(g.Transpose(x, [0, 2, 1]), g.Concat([g.ints([0, Number(x.shape!.at(-1))]), size], 0));
}

function attention(m: Module, x: Value, map: Value, { heads, width, reduction }: Stage): Value {
  const self = m.at('self');
  const names = ['query', 'key', 'value'] as const;
  const size = [reduction, reduction];
  const shrunk = (): Value => {
    const small = self.conv('sr', asMap(self, x, map), { out: width, kernel: size, strides: size });
    return self.layerNorm('layer_norm', asSequence(self, small), EPSILON);
  };
  const context = selfAttention(self, x, { names, heads, from: reduction > 1 ? shrunk() : x });
  return m.linear('output.dense', context, width);
}

function layer(m: Module, x: Value, map: Value, stage: Stage, act: Activation): Value {
  const { inner, width } = stage;
  x = m.g.Add(x, attention(m.at('attention'), m.layerNorm('layer_norm_1', x, EPSILON), map, stage));
  const mlp = m.at('mlp');
  const wide = asMap(mlp, mlp.linear('dense1', m.layerNorm('layer_norm_2', x, EPSILON), inner), map);
  const mixed = mlp.conv('dwconv.dwconv', wide, { out: inner, kernel: [3, 3], pads: [1, 1], groups: inner });
  return m.g.Add(x, mlp.linear('dense2', act(m.g, asSequence(mlp, mixed)), width));
}

function states(m: Module, s: Sizes): { readonly x: Value; readonly map: Value }[] {
  const encoder = m.at('encoder');
  let input = pixelValues(m, { channels: s.channels });
  return s.stages.map((stage, i) => {
    const { patch, stride, width } = stage;
    const patches = encoder.at(`patch_embeddings.${i}`);
    const half = Math.floor(patch / 2);
    const map = patches.conv('proj', input, { out: width, kernel: [patch, patch], strides: [stride, stride], pads: [half, half] }); // prettier-ignore
    let x = patches.layerNorm('layer_norm', asSequence(patches, map), EPSILON);
    for (const each of encoder.list(`block.${i}`, stage.depth)) x = layer(each, x, map, stage, s.act);
    x = encoder.layerNorm(`layer_norm.${i}`, x, EPSILON);
    input = asMap(encoder, x, map);
    return { x, map: input };
  });
}

/** Class scores from all stages: `[batch, labels, height ÷ 4, width ÷ 4]`. */
function segments(m: Module, all: ReturnType<typeof states>, width: number, labels: number): Value {
  const { g } = m;
  const size = g.Shape(all[0]!.map);
  const [batch, plane] = [g.Slice(size, [0], [1], [0]), g.Slice(size, [2], [4], [0])];
  const sizes = g.Concat([batch, g.ints([width]), plane], 0);
  const maps = all.map(({ x, map }, i) => {
    const projected = asMap(m, m.linear(`linear_c.${i}.proj`, x, width), map);
    const attributes = { mode: 'linear', coordinate_transformation_mode: 'half_pixel' };
    return g.emit('Resize', [projected, undefined, undefined, sizes], attributes);
  });
  const joined = g.Concat(maps.toReversed(), 1);
  const fused = m.conv('linear_fuse', joined, { out: width, kernel: [1, 1], bias: false });
  return m.conv('classifier', g.Relu(m.batchNorm('batch_norm', fused, EPSILON)), { out: labels, kernel: [1, 1] });
}

export const segformer: Architecture = {
  modelType: 'segformer',
  prefix: 'segformer',
  others: /^classifier\.|^decode_head\./,
  classes: {
    SegformerModel: modelClass(
      (c) => {
        c.skip('decoder_hidden_size');
        return { s: sizes(c), isMap: c.flag('reshape_last_stage', true) };
      },
      (m, { s, isMap }) => {
        const { x, map } = states(m, s).at(-1)!;
        m.graph.output('last_hidden_state', isMap ? map : x);
      },
    ),
    SegformerForImageClassification: classifierClass(
      (c) => {
        c.skip('decoder_hidden_size', 'reshape_last_stage');
        return sizes(c);
      },
      (m, s) => m.g.ReduceMean(states(m.at('segformer'), s).at(-1)!.x, [1], false),
    ),
    SegformerForSemanticSegmentation: modelClass(
      (c) => {
        c.only('reshape_last_stage', true);
        return { s: sizes(c), labels: c.labels(), width: c.size('decoder_hidden_size', 256) };
      },
      (m, { s, labels, width }) => {
        m.graph.output('logits', segments(m.at('decode_head'), states(m.at('segformer'), s), width, labels));
      },
    ),
  },
};
