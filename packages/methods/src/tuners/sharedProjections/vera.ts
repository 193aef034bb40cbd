/** @file VeRA: all layers share two random matrices; each trains two scaling vectors. */

import { TorchRandom, type TargetLayer, type TensorSpec, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin';
import { dropoutOf, finite, peftLayers, requireOnly, whole } from '../settings.ts';
import { filled, zeros } from '../tensors.ts';

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
    ...peftLayers,
  },
  tune: (layer, settings, layers) => {
    requireOnly(settings, { bias: 'none', init_weights: true });
    const rank = whole(settings, 'r');
    const { A: one, B: other } = projections(layers, settings, [rank, rank]);
    return {
      linearIn: ['vera_lambda_b'],
      dropout: dropoutOf(settings, 'vera_dropout'),
      tensors: {
        vera_A: one,
        vera_B: other,
        vera_lambda_d: filled([rank], finite(settings, 'd_initial'), 0),
        vera_lambda_b: zeros([layer.out]),
      },
      factors: (g, { vera_A: A, vera_B: B, vera_lambda_d: d, vera_lambda_b: b }) => ({
        A: g.Mul(g.Unsqueeze(d!, [1]), g.Slice(A!, [0], [layer.in], [1])),
        B: g.Mul(g.Unsqueeze(b!, [1]), g.Slice(B!, [0], [layer.out], [0])),
      }),
    };
  },
};

/**
 * Random matrices of all layers, by `projection_prng_key`: A `[ranks[0], widest inputs]`, B `[most outputs, ranks[1]]`.
 * Drawn in PEFT's order, uniform with variance 2 / columns.
 */
export function projections(
  layers: readonly TargetLayer[],
  settings: TunerSettings,
  ranks: readonly [number, number],
): Readonly<Record<'A' | 'B', TensorSpec>> {
  const key = whole(settings, 'projection_prng_key', 0);
  const width = Math.max(...layers.map((each) => each.in));
  const height = Math.max(...layers.map((each) => each.out));
  const [first, second] = [[ranks[0], width], [height, ranks[1]]] as [[number, number], [number, number]]; // prettier-ignore
  const drawn = ([rows, columns]: readonly [number, number], random: TorchRandom): Float32Array =>
    random.uniform(rows * columns, -Math.sqrt(6 / columns), Math.sqrt(6 / columns));
  const seeded = (dims: readonly number[], values: (random: TorchRandom) => Float32Array): TensorSpec => ({
    ...zeros(dims),
    role: 'seeded',
    share: 'adapter',
    saved: settings['save_projection'] === true,
    init: () => values(new TorchRandom(key)),
  });
  const after = (random: TorchRandom): Float32Array => {
    drawn(first, random);
    return drawn(second, random);
  };
  return { A: seeded(first, (random) => drawn(first, random)), B: seeded(second, after) };
}
