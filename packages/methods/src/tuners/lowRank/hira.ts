/** @file HiRA: ΔW is the Hadamard product of the weight and a low-rank matrix. */

import type { TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import { dropoutOf, peftModules, whole, wrong } from '../settings.ts';
import { kaiming, normal, sizeOf, zeros } from '../tensors.ts';

export const hira: Tuner = {
  name: 'hira',
  peftType: 'HIRA',
  paper: 'https://openreview.net/forum?id=TwJrTz9cRS',
  description: 'HiRA: a change of high rank, as the Hadamard product of the weight itself and a low-rank matrix',
  kinds: ['linear', 'conv1d', 'conv2d', 'conv3d', 'embedding'],
  defaults: {
    r: 32,
    rank_pattern: {},
    hira_dropout: 0,
    fan_in_fan_out: false,
    init_weights: true,
    ...peftModules,
  },
  refuses: ({ in: inputs, weightShape: [, channels], kind }) =>
    kind.startsWith('conv') && channels !== inputs
      ? 'is a convolution with groups, which HiRA does not have'
      : undefined,
  tune: (layer, settings, _, saved) => {
    const { init_weights: init } = settings;
    if (![true, false, 'gaussian'].includes(init as boolean))
      throw wrong(settings, 'init_weights', 'true, false or "gaussian"');
    const hasPattern = Object.keys((settings['rank_pattern'] as object | null) ?? {}).length > 0;
    if (!saved && hasPattern) throw wrong(settings, 'rank_pattern', 'empty, since PEFT does not heed it');
    const r = saved?.['hira_A']?.[0] ?? whole(settings, 'r');
    const { weightShape } = layer;
    if (layer.kind === 'embedding') {
      const [ids, dim] = weightShape as [number, number];
      const [A, B] = [init === false ? normal([r, ids], 1) : zeros([r, ids]), normal([dim, r], 1)];
      return {
        tensors: { hira_embedding_A: A, hira_embedding_B: B },
        linearIn: ['hira_embedding_A'],
        readsWeight: true,
        delta: (g, { hira_embedding_A: a, hira_embedding_B: b }, weight) =>
          g.Mul(weight(), g.MatMul(g.Transpose(a!, [1, 0]), g.Transpose(b!, [1, 0]))),
      };
    }
    const [out, ...rest] = weightShape as [number, ...number[]];
    const first = (dims: readonly number[], usual: TensorSpec): TensorSpec =>
      init === false ? normal(dims, 1) : usual;
    // PEFT has no Gaussian init for convolutions.
    const isGaussian = init === 'gaussian' && layer.kind === 'linear';
    const [a, b] = [[r, ...rest], [out, r, ...rest.slice(1).map(() => 1)]]; // prettier-ignore
    return {
      tensors: { hira_A: first(a, isGaussian ? normal(a, 1 / r) : kaiming(a)), hira_B: first(b, zeros(b)) },
      linearIn: ['hira_B'],
      readsWeight: true,
      dropout: dropoutOf(settings, 'hira_dropout'),
      delta: (g, { hira_A: A, hira_B: B }, weight) => {
        const product = g.MatMul(g.Reshape(B!, [out, r]), g.Reshape(A!, [r, sizeOf(rest)]));
        return g.Mul(weight(), g.Reshape(product, weightShape));
      },
    };
  },
};
