/** @file LoHa as a plugin: the weight changes by the product, number by number, of two low-rank matrices. */

import { definePlugin, type Plugin, type TunedTensor, type Tuner } from '@onnx-lora/sdk';

/** @see https://arxiv.org/abs/2108.06098 */
const loha: Tuner = {
  name: 'loha',
  peftType: 'LOHA',
  description: 'LoHa: a change of high rank, as the Hadamard product of two of low rank',
  defaults: {
    r: 8,
    alpha: 8,
    rank_pattern: {},
    alpha_pattern: {},
    rank_dropout: 0,
    module_dropout: 0,
    init_weights: true,
    use_effective_conv2d: false,
    exclude_modules: null,
    layers_pattern: null,
    layers_to_transform: null,
  },
  refuses: (_, { rank_pattern: ranks, alpha_pattern: alphas }) =>
    Object.keys({ ...(ranks as object), ...(alphas as object) }).length > 0
      ? 'may have a rank or an alpha of its own, which this plugin does not read'
      : undefined,
  tune: ({ in: width, out }, { r, alpha }) => {
    const [rank, scaling] = [r as number, (alpha as number) / (r as number)];
    const tensor = (rows: number, columns: number, deviation: number): TunedTensor => ({
      dims: [rows, columns],
      first: (random) => new Float32Array(rows * columns).map(() => deviation * random.normal()),
      idle: () => new Float32Array(rows * columns),
    });
    return {
      // As PEFT begins: one of the four is zero, so that nothing changes.
      tensors: {
        hada_w1_a: tensor(out, rank, 0.1),
        hada_w1_b: tensor(rank, width, 1),
        hada_w2_a: tensor(out, rank, 0),
        hada_w2_b: tensor(rank, width, 1),
      },
      apply: (g, { x, forward }, { hada_w1_a: a1, hada_w1_b: b1, hada_w2_a: a2, hada_w2_b: b2 }) => {
        const delta = g.Mul(g.Mul(g.MatMul(a1!, b1!), g.MatMul(a2!, b2!)), scaling);
        return g.Add(forward(x), g.MatMul(x, g.Transpose(delta, [1, 0])));
      },
      mergeWeight: ({ rows, columns, data }, { hada_w1_a: a1, hada_w1_b: b1, hada_w2_a: a2, hada_w2_b: b2 }) => {
        const product = (a: Float64Array, b: Float64Array, i: number, j: number): number => {
          let sum = 0;
          for (let k = 0; k < rank; k++) sum += a[i * rank + k]! * b[k * columns + j]!;
          return sum;
        };
        const changed = data.map((value, at) => {
          const [i, j] = [Math.floor(at / columns), at % columns];
          return value + scaling * product(a1!, b1!, i, j) * product(a2!, b2!, i, j);
        });
        return { rows, columns, data: changed };
      },
    };
  },
};

/** What the package exports. */
export const lohaPlugin: Plugin = definePlugin({ name: 'onnx-lora-loha', version: '1.0.0', tuners: [loha] });
