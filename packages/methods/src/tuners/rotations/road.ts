/** @file RoAd: rotates and scales pairs of a layer's outputs. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ByTensor, Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { likeRows } from './rotation.ts';
import { oneOf, whole } from '../settings.ts';
import { filled, normal, zeros } from '../tensors.ts';

const sizes: Readonly<Record<string, number>> = { road_1: 0.5, road_2: 1, road_4: 2 };

export const road: Tuner = {
  name: 'road',
  peftType: 'ROAD',
  paper: 'https://arxiv.org/abs/2409.00119',
  description: 'RoAd: turns pairs of the outputs of a layer, and scales them',
  defaults: { variant: 'road_1', group_size: 64, init_weights: true },
  tune: (layer, settings) => {
    const { variant, init_weights: isIdle } = settings as { variant: string; init_weights: boolean };
    const group = whole(settings, 'group_size', 2);
    oneOf('road', settings, 'variant', Object.keys(sizes));
    if (group % 2 !== 0 || layer.out % group !== 0) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `The tuner "road" pairs the ${layer.out} outputs of "${layer.path}" in groups of group_size ${group}, which must be even and divide them. Choose another group_size, or leave the layer out (excludeModules).`,
      );
    }
    const [groups, half, count] = [layer.out / group, group / 2, layer.out * sizes[variant]!];
    /** Factors of an output itself and of its partner: `[groups, 2, half, 1]`, or one for both. */
    const factors = (g: GraphBuilder, { road_theta: theta, road_alpha: alpha }: ByTensor<Value>): [Value, Value] => {
      const pairs = [groups, variant === 'road_1' ? 1 : 2, half, 1];
      const part = (own: Value, at: number): Value =>
        g.Reshape(variant === 'road_4' ? g.Slice(g.Reshape(own, [groups, 2, group]), [at], [at + 1], [1]) : own, pairs);
      return [g.Mul(part(alpha!, 0), g.Cos(part(theta!, 0))), g.Mul(part(alpha!, 1), g.Sin(part(theta!, 1)))];
    };
    const turn = (g: GraphBuilder, y: Value, inner: number, [kept, gotten]: readonly [Value, Value]): Value => {
      const pairs = g.Reshape(y, [-1, groups, 2, half, inner]);
      const other = swapped(g, pairs, 2, true);
      return likeRows(g, g.Add(g.Mul(pairs, kept), g.Mul(other, gotten)), y);
    };
    const back = (g: GraphBuilder, y: Value, inner: number, tensors: ByTensor<Value>): Value => {
      const [kept, gotten] = factors(g, tensors);
      const turnedRound = (own: Value): Value => (variant === 'road_1' ? own : swapped(g, own, 1, false));
      const determinant = g.Add(g.Mul(kept, turnedRound(kept)), g.Mul(gotten, turnedRound(gotten)));
      return turn(g, y, inner, [g.Div(turnedRound(kept), determinant), g.Neg(g.Div(gotten, determinant))]);
    };
    return {
      tensors: {
        road_theta: isIdle ? zeros([count]) : normal([count], 0.5),
        road_alpha: isIdle
          ? filled([count], 1)
          : { ...filled([count], 1), init: (random) => new Float32Array(count).map(() => 1 + 0.5 * random.normal()) },
      },
      apply: (g, { x, forward }, tensors) => turn(g, forward(x), 1, factors(g, tensors)),
      weight: (g, weight, tensors) => turn(g, weight, layer.in, factors(g, tensors)),
      bias: (g, bias, tensors) => turn(g, bias, 1, factors(g, tensors)),
      unmerged: {
        weight: (g, weight, tensors) => back(g, weight, layer.in, tensors),
        bias: (g, bias, tensors) => back(g, bias, 1, tensors),
      },
    };
  },
};

/** Swaps the halves of an axis of two; `isNegated` flips the sign of the new first one. */
function swapped(g: GraphBuilder, pairs: Value, axis: number, isNegated: boolean): Value {
  const second = g.Slice(pairs, [1], [2], [axis]);
  return g.Concat([isNegated ? g.Neg(second) : second, g.Slice(pairs, [0], [1], [axis])], axis);
}
