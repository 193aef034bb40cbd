/** @file VeRA: all layers share two random matrices, and each trains two vectors that scale these. */

import { TorchRandom, type TunedTensor, type Tuner } from '@onnx-lora/sdk/plugin';
import { dropoutOf } from './settings.ts';
import { at, filled, made, zeros } from './tensors.ts';

export const vera: Tuner = {
  name: 'vera',
  peftType: 'VERA',
  paper: 'https://arxiv.org/abs/2310.11454',
  description: 'VeRA: trains two vectors of each layer, which scale random matrices that all layers share',
  defaults: {
    r: 256,
    projection_prng_key: 0,
    save_projection: true,
    vera_dropout: 0,
    d_initial: 0.1,
    fan_in_fan_out: false,
    bias: 'none',
    init_weights: true,
    exclude_modules: null,
    layers_pattern: null,
    layers_to_transform: null,
  },
  tune: (layer, settings, layers) => {
    const { r, projection_prng_key: key, save_projection: saved, d_initial: first } = settings;
    const rank = r as number;
    const width = Math.max(...layers.map((each) => each.in));
    const height = Math.max(...layers.map((each) => each.out));
    // As PEFT draws them, one after the other: uniform with the variance 2 / inputs.
    const drawn = (rows: number, columns: number, random: TorchRandom): Float32Array =>
      random.uniform(rows * columns, -Math.sqrt(6 / columns), Math.sqrt(6 / columns));
    const projection = (dims: readonly number[], values: (random: TorchRandom) => Float32Array): TunedTensor => ({
      ...zeros(dims),
      role: 'seeded',
      share: 'adapter',
      saved: saved === true,
      first: () => values(new TorchRandom(key as number)),
    });
    return {
      linearIn: ['vera_lambda_b'],
      dropout: dropoutOf(settings, 'vera_dropout'),
      tensors: {
        vera_A: projection([rank, width], (random) => drawn(rank, width, random)),
        vera_B: projection([height, rank], (random) => {
          drawn(rank, width, random);
          return drawn(height, rank, random);
        }),
        vera_lambda_d: filled([rank], first as number, 0),
        vera_lambda_b: zeros([layer.out]),
      },
      delta: (g, { vera_A: A, vera_B: B, vera_lambda_d: d, vera_lambda_b: b }) =>
        g.MatMul(
          g.Mul(g.Unsqueeze(b!, [1]), g.Slice(B!, [0], [layer.out], [0])),
          g.Mul(g.Unsqueeze(d!, [1]), g.Slice(A!, [0], [layer.in], [1])),
        ),
      toLora: ({ vera_A: A, vera_B: B, vera_lambda_d: d, vera_lambda_b: b }) => ({
        A: made(rank, layer.in, (k, i) => at(d!, k) * at(A!, k * width + i)),
        B: made(layer.out, rank, (o, k) => at(b!, o) * at(B!, o * rank + k)),
      }),
    };
  },
};
