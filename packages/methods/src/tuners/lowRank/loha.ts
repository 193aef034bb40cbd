/** @file LoHa: ΔW is the Hadamard product of two low-rank matrices. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { finiteOf, peftModules, trainsWith, wholeOf } from '../settings.ts';
import { normal, sizeOf, zeros } from '../tensors.ts';

export const loha: Tuner = {
  name: 'loha',
  peftType: 'LOHA',
  paper: 'https://arxiv.org/abs/2108.06098',
  description: 'LoHa: a change of high rank, as the Hadamard product of two of low rank',
  kinds: ['linear', 'conv1d', 'conv2d'],
  defaults: {
    r: 8,
    alpha: 8,
    rank_pattern: {},
    alpha_pattern: {},
    rank_dropout: 0,
    module_dropout: 0,
    init_weights: true,
    use_effective_conv2d: false,
    ...peftModules,
  },
  ...trainsWith('loha', { rank_dropout: 0, module_dropout: 0, init_weights: true }),
  tune: (layer, settings) => {
    const { weightShape } = layer;
    const isEffective = settings['use_effective_conv2d'];
    const rank = wholeOf(layer, settings, 'r', 'rank_pattern');
    const scaling = finiteOf(layer, settings, 'alpha', 'alpha_pattern') / rank;
    const [out, channels, ...kernel] = weightShape as [number, number, ...number[]];
    const window = sizeOf(kernel);
    // PEFT's init: one of the four is zero, and so is ΔW.
    if (isEffective !== true || window === 1) {
      return {
        linearIn: ['hada_w1_a'],
        tensors: {
          hada_w1_a: normal([out, rank], 0.1),
          hada_w1_b: normal([rank, channels * window], 1),
          hada_w2_a: zeros([out, rank]),
          hada_w2_b: normal([rank, channels * window], 1),
        },
        delta: (g, { hada_w1_a: a1, hada_w1_b: b1, hada_w2_a: a2, hada_w2_b: b2 }) =>
          g.Reshape(g.Mul(g.Mul(g.MatMul(a1!, b1!), g.MatMul(a2!, b2!)), scaling), weightShape),
      };
    }
    /** `[r, in · kernel]` from a core `[r, r, ...kernel]` and b `[r, in]`. */
    const inner = (g: GraphBuilder, core: Value, b: Value): Value =>
      g.Reshape(g.MatMul(g.Transpose(b, [1, 0]), g.Reshape(core, [rank, rank, window])), [rank, channels * window]);
    /** aᵀ·own, where a `[r, out]` gets the gradient of aᵀ·other, as PEFT's HadaWeightCP has it. */
    const outer = (g: GraphBuilder, a: Value, own: Value, other: Value): Value => {
      const fixed = g.stopGradient(g.Identity(a));
      const none = g.MatMul(g.Transpose(g.Sub(a, fixed), [1, 0]), g.stopGradient(g.Identity(other)));
      return g.Add(g.MatMul(g.Transpose(fixed, [1, 0]), own), none);
    };
    return {
      linearIn: ['hada_w1_a'],
      tensors: {
        hada_t1: normal([rank, rank, ...kernel], 0.1),
        hada_w1_a: normal([rank, out], 0.1),
        hada_w1_b: normal([rank, channels], 1),
        hada_t2: normal([rank, rank, ...kernel], 0.1),
        hada_w2_a: zeros([rank, out]),
        hada_w2_b: normal([rank, channels], 1),
      },
      delta: (g, { hada_t1: t1, hada_w1_a: a1, hada_w1_b: b1, hada_t2: t2, hada_w2_a: a2, hada_w2_b: b2 }) => {
        const [one, two] = [inner(g, t1!, b1!), inner(g, t2!, b2!)];
        return g.Reshape(g.Mul(g.Mul(outer(g, a1!, one, two), outer(g, a2!, two, one)), scaling), weightShape);
      },
    };
  },
};
