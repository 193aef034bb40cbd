/** @file VeLoRA: keeps projections of A's input, for an approximate gradient of A. */

import type { LayerInGraph, Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { loraFactors, rankOf, variantOfLora } from '../lowRank/lora.ts';
import { finite, oneOf, whole } from '../settings.ts';
import { zeros } from '../tensors.ts';

const defaults = { num_groups: 64, scale: 1, init_type: 'batch_average' };

export const velora: Tuner = {
  name: 'velora',
  ...variantOfLora('velora_config', defaults),
  paper: 'https://arxiv.org/abs/2405.17991',
  description: 'VeLoRA: LoRA with a gradient of A from projections of its input on one vector',
  tune: (layer, settings, _, saved) => {
    const { r, scaling, dropout } = rankOf(layer, settings, saved === undefined);
    const own = { ...defaults, ...(settings['velora_config'] as object) };
    oneOf('velora', own, 'init_type', ['random', 'batch_average']);
    const [groups, scale, type] = [whole(own, 'num_groups'), finite(own, 'scale'), own.init_type];
    const size = Math.ceil(layer.in / groups);
    return {
      dropout,
      tensors: {
        ...loraFactors(r, layer.in, layer.out),
        lora_velora_embed: {
          ...zeros([size]),
          role: 'frozen',
          init: (random) => {
            const vector = new Float32Array(size);
            if (type !== 'random') return vector;
            const drawn = vector.map(() => random.normal());
            const norm = Math.hypot(...drawn);
            return drawn.map((each) => each / norm);
          },
        },
      },
      apply: (
        g,
        { x, dropped, forward }: LayerInGraph,
        { 'lora_A.weight': A, 'lora_B.weight': B, lora_velora_embed: embed },
      ) => {
        const read = dropped();
        const grouped = inGroups(g, g.stopGradient(g.Identity(read)), groups, size);
        const vector = type === 'random' ? embed! : meanVector(g, grouped, size);
        const near = g.Mul(rebuilt(g, grouped, vector, read), scale);
        // Forward x·Aᵀ; the gradient of x is through A, that of A is by the approximate input.
        const fixed = g.stopGradient(g.Identity(A!));
        const reduced = g.Add(
          g.MatMul(read, g.Transpose(fixed, [1, 0])),
          g.MatMul(g.stopGradient(near), g.Transpose(g.Sub(A!, fixed), [1, 0])),
        );
        return g.Add(forward(x), g.Mul(g.MatMul(reduced, g.Transpose(B!, [1, 0])), scaling));
      },
    };
  },
};

/** `[..., in]` to `[tokens, groups, size]`, zero-padded. */
function inGroups(g: GraphBuilder, x: Value, groups: number, size: number): Value {
  const width = x.shape!.at(-1) as number;
  const missing = groups * size - width;
  const flat = g.Reshape(x, [-1, width]);
  return g.Reshape(missing === 0 ? flat : g.Pad(flat, [0, 0, 0, missing]), [-1, groups, size]);
}

/** The normalised mean of all groups; constant where that is zero. */
function meanVector(g: GraphBuilder, grouped: Value, size: number): Value {
  const mean = g.ReduceMean(grouped, [0, 1], false);
  const norm = g.Sqrt(g.ReduceSumSquare(mean, [0], true));
  const isZero = g.Equal(norm, 0);
  return g.Where(isZero, 1 / Math.sqrt(size), g.Div(mean, g.Where(isZero, 1, norm)));
}

/** x rebuilt from its projections, `[..., in]`. */
function rebuilt(g: GraphBuilder, grouped: Value, vector: Value, x: Value): Value {
  const [, groups, size] = grouped.shape as readonly [unknown, number, number];
  const projected = g.ReduceSum(g.Mul(grouped, vector), [2], true);
  const flat = g.Reshape(g.Mul(projected, vector), [-1, groups * size]);
  return g.Reshape(g.Slice(flat, [0], [x.shape!.at(-1) as number], [1]), g.Shape(x));
}
