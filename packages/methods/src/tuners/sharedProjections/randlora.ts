/** @file RandLoRA: ΔW of full rank as a trained, scaled sum of random low-rank matrices. */

import { asBfloat16, TorchRandom, type TargetLayer, type TensorSpec, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin'; // prettier-ignore
import { dropoutOf, finite, peftLayers, requireOnly, whole } from '../settings.ts';
import { filled, normal, zeros } from '../tensors.ts';

export const randlora: Tuner = {
  name: 'randlora',
  peftType: 'RANDLORA',
  paper: 'https://arxiv.org/abs/2502.00987',
  description:
    'RandLoRA: trains how random matrices, which all layers share, are scaled and added to a change of full rank',
  defaults: {
    r: 32,
    randlora_alpha: 640,
    projection_prng_key: 0,
    save_projection: true,
    sparse: false,
    very_sparse: false,
    randlora_dropout: 0,
    fan_in_fan_out: false,
    init_weights: true,
    bias: 'none',
    ...peftLayers,
  },
  tune: ({ in: inputs, out }, settings, layers) => {
    requireOnly(settings, { bias: 'none' });
    const r = whole(settings, 'r');
    const [small, large] = [Math.min(inputs, out), Math.max(inputs, out)];
    const bases = Math.ceil(small / r);
    const scaling = finite(settings, 'randlora_alpha') / r;
    const { A, B } = projections(layers, settings, r);
    const isRandom = settings['init_weights'] === false;
    return {
      tensors: {
        randlora_A: A,
        randlora_B: B,
        randlora_lambda: isRandom ? normal([r, bases], 1) : zeros([r, bases]),
        randlora_gamma: filled([bases, small], 1 / (isRandom ? large : Math.max(bases, small)), 0),
      },
      linearIn: ['randlora_lambda'],
      dropout: dropoutOf(settings, 'randlora_dropout'),
      delta: (g, { randlora_A: a, randlora_B: b, randlora_lambda: lambda, randlora_gamma: gamma }) => {
        // `[r, bases, small]`, for the shorter side of the weight.
        const scaled = g.Mul(g.Mul(g.Unsqueeze(lambda!, [2]), g.Slice(a!, [0], [small], [2])), g.Mul(gamma!, scaling));
        const narrow = g.Reshape(scaled, [r * bases, small]);
        // PEFT orders this factor by bases first, the other by ranks first.
        const wide = g.Reshape(g.Slice(b!, [0, 0], [large, bases], [0, 1]), [large, bases * r]);
        const change = g.MatMul(wide, narrow);
        return small === inputs ? change : g.Transpose(change, [1, 0]);
      },
    };
  },
};

/** Random matrices, sized for the largest layer: A `[r, 1, small]` and B `[large, bases, r]`. */
function projections(
  layers: readonly TargetLayer[],
  settings: TunerSettings,
  r: number,
): Readonly<Record<'A' | 'B', TensorSpec>> {
  const sides = [Math.max(...layers.map((each) => each.in)), Math.max(...layers.map((each) => each.out))];
  const [small, large] = [Math.min(...sides), Math.max(...sides)];
  const bases = Math.ceil(small / r);
  const key = whole(settings, 'projection_prng_key', 0);
  const isSparse = settings['sparse'] === true || settings['very_sparse'] === true;
  const sparsity = settings['very_sparse'] === true ? Math.sqrt(small) : 3;
  const draw = (): Record<'A' | 'B', Float32Array> => {
    const random = new TorchRandom(key);
    if (isSparse) {
      const signs = (count: number): Float32Array => overDeviation(random.uniform(count, 0, 1).map((each) => signOf(each, sparsity)), Math.fround); // prettier-ignore
      return { A: signs(r * small), B: signs(large * bases * r) };
    }
    // PEFT draws in bfloat16 where torch supports it.
    const drawn = (count: number, reads: number): Float32Array => random.uniform(count, -1 / Math.sqrt(reads), 1 / Math.sqrt(reads), 'bfloat16'); // prettier-ignore
    const A = overDeviation(drawn(r * small, small), asBfloat16);
    const B = new Float32Array(large * bases * r);
    for (let base = 0; base < bases; base++)
      drawn(large * r, r).forEach((value, i) => { B[(Math.floor(i / r) * bases + base) * r + (i % r)] = value; }); // prettier-ignore
    return { A, B: overDeviation(B, asBfloat16) };
  };
  const seeded = (name: 'A' | 'B', dims: readonly number[]): TensorSpec => ({
    ...zeros(dims),
    role: 'seeded',
    share: { inEach: true },
    saved: settings['save_projection'] === true,
    init: () => draw()[name],
  });
  return { A: seeded('A', [r, 1, small]), B: seeded('B', [large, bases, r]) };
}

/** −1, 0 or 1; zeros have the share 1 − 1/sparsity. */
function signOf(drawn: number, sparsity: number): number {
  if (drawn < Math.fround(1 / (2 * sparsity))) return -1;
  return drawn > Math.fround(1 - 1 / (2 * sparsity)) ? 1 : 0;
}

/** Divides by the standard deviation, rounded to the data type. */
function overDeviation(numbers: Float32Array, rounded: (value: number) => number): Float32Array {
  const mean = numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
  const squares = numbers.reduce((sum, each) => sum + (each - mean) ** 2, 0);
  const deviation = rounded(Math.sqrt(squares / (numbers.length - 1)));
  return numbers.map((each) => rounded(each / deviation));
}
