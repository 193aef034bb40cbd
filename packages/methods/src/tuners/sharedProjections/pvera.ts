/** @file PVeRA: VeRA with a normal distribution over the inner vector; inference uses its mean. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { dropoutOf, finite, peftLayers, requireOnly, trainsWith, whole } from '../settings.ts';
import { filled, zeros } from '../tensors.ts';
import { projections } from './vera.ts';

export const pvera: Tuner = {
  name: 'pvera',
  peftType: 'PVERA',
  paper: 'https://arxiv.org/abs/2512.07703',
  description: 'PVeRA: VeRA with its inner vector drawn from a trained distribution',
  defaults: {
    r: 256,
    projection_prng_key: 0,
    save_projection: true,
    pvera_dropout: 0,
    d_initial: 0.1,
    sample_at_inference: false,
    generator_seed: null,
    fan_in_fan_out: false,
    bias: 'none',
    init_weights: true,
    ...peftLayers,
  },
  // Noise uses the run's seed.
  ...trainsWith('pvera', { generator_seed: null }),
  tune: (layer, settings, layers) => {
    requireOnly(settings, { bias: 'none', init_weights: true, sample_at_inference: false });
    const r = whole(settings, 'r');
    const { A, B } = projections(layers, settings, [2 * r, r]);
    return {
      tensors: {
        pvera_A: A,
        pvera_B: B,
        // Means, then log variances.
        pvera_lambda_d: filled([2 * r], finite(settings, 'd_initial'), 0),
        pvera_lambda_b: zeros([layer.out]),
      },
      linearIn: ['pvera_lambda_b'],
      dropout: dropoutOf(settings, 'pvera_dropout'),
      // Training adds noise times the deviation to the mean that the factors compute.
      sampled: (g, x, { pvera_A: a, pvera_B: b, pvera_lambda_d: d, pvera_lambda_b: scale }, normal) => {
        const second = g.Slice(a!, [r, 0], [2 * r, layer.in], [0, 1]);
        const logarithm = g.Mul(g.MatMul(x, g.Transpose(second, [1, 0])), g.Slice(d!, [r], [2 * r], [0]));
        const deviation = g.Exp(g.Mul(logarithm, 0.5));
        const drawn = g.Mul(deviation, normal(deviation.shape as number[]));
        const outer = g.Slice(b!, [0], [layer.out], [0]);
        return g.Mul(g.MatMul(drawn, g.Transpose(outer, [1, 0])), scale!);
      },
      factors: (g, { pvera_A: a, pvera_B: b, pvera_lambda_d: d, pvera_lambda_b: scale }) => ({
        A: g.Mul(g.Unsqueeze(g.Slice(d!, [0], [r], [0]), [1]), g.Slice(a!, [0, 0], [r, layer.in], [0, 1])),
        B: g.Mul(g.Unsqueeze(scale!, [1]), g.Slice(b!, [0], [layer.out], [0])),
      }),
    };
  },
};
