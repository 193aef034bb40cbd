/** @file UniLoRA: every entry of every factor is picked from one trained vector. */

import { type TargetLayer, type TensorSpec, type Tuner, type TunerSettings, TorchRandom } from '@onnx-lora/sdk/plugin';
import { dropoutOf, finite, requireOnly, whole, wrong } from '../settings.ts';
import { sizeOf, uniform, zeros } from '../tensors.ts';

/** Tensors of indices and scales, missing in files saved without them. */
const NAMES = ['indices_A', 'indices_B', 'scales_A', 'scales_B'].map((name) => `unilora_${name}`);

export const unilora: Tuner = {
  name: 'unilora',
  peftType: 'UNILORA',
  paper: 'https://arxiv.org/abs/2506.00799',
  description: 'UniLoRA: one vector, from which all values of all factors are picked',
  defaults: {
    r: 4,
    proj_seed: 42,
    theta_d_length: 256,
    unilora_dropout: 0,
    fan_in_fan_out: false,
    bias: 'none',
    init_theta_d_bound: 0.02,
    init_weights: true,
    // Without it PEFT draws indices again, in the order of the model's class.
    save_indices: true,
    layers_to_transform: null,
    layers_pattern: null,
  },
  notInPeft: NAMES,
  tune: (layer, settings, layers, saved) => {
    if (saved === undefined) requireOnly(settings, { bias: 'none', save_indices: true });
    const [r, length] = [whole(settings, 'r'), whole(settings, 'theta_d_length')];
    if (!Number.isSafeInteger(settings['proj_seed'])) throw wrong(settings, 'proj_seed', 'a whole number');
    const [A, B] = [[r, layer.in], [layer.out, r]] as const; // prettier-ignore
    const before = layers.slice(
      0,
      layers.findIndex(({ path }) => path === layer.path),
    );
    const from = before.reduce((sum, each) => sum + r * (each.in + each.out), 0);
    const own = (): { readonly places: Int32Array; readonly uses: Int32Array } => assigned(layers, settings);
    const indices = (dims: readonly number[], start: number): TensorSpec => ({
      dims,
      integers: { type: 'int64', below: length },
      init: () => BigInt64Array.from(own().places.subarray(start, start + sizeOf(dims)), BigInt),
      identity: () => new BigInt64Array(sizeOf(dims)),
    });
    const scales = (dims: readonly number[], start: number): TensorSpec => ({
      ...zeros(dims),
      role: 'frozen',
      init: () => {
        const { places, uses } = own();
        return Float32Array.from(places.subarray(start, start + sizeOf(dims)), (place) => uses[place]! ** -0.5);
      },
    });
    return {
      dropout: dropoutOf(settings, 'unilora_dropout'),
      tensors: {
        unilora_theta_d: { ...uniform([length], finite(settings, 'init_theta_d_bound')), share: 'adapter' },
        unilora_indices_A: indices(A, from),
        unilora_indices_B: indices(B, from + sizeOf(A)),
        unilora_scales_A: scales(A, from),
        unilora_scales_B: scales(B, from + sizeOf(A)),
      },
      factors: (
        g,
        {
          unilora_theta_d: theta,
          unilora_indices_A: a,
          unilora_indices_B: b,
          unilora_scales_A: scalesA,
          unilora_scales_B: scalesB,
        },
      ) => ({
        A: g.Mul(g.Gather(theta!, a!, 0), scalesA!),
        B: g.Mul(g.Gather(theta!, b!, 0), scalesB!),
      }),
    };
  },
};

const known = new WeakMap<readonly TargetLayer[], { readonly places: Int32Array; readonly uses: Int32Array }>();

/** The vector's index for each entry of all factors, used evenly, and the uses per index. */
function assigned(
  layers: readonly TargetLayer[],
  settings: TunerSettings,
): { readonly places: Int32Array; readonly uses: Int32Array } {
  const found = known.get(layers);
  if (found) return found;
  const { r, theta_d_length: length, proj_seed: seed } = settings as { r: number; theta_d_length: number; proj_seed: number }; // prettier-ignore
  const total = layers.reduce((sum, layer) => sum + r * (layer.in + layer.out), 0);
  const random = new TorchRandom(seed);
  const order = random.permuted(length, length);
  const places = Int32Array.from({ length: total }, (_, i) => order[i % length]!);
  const uses = new Int32Array(length);
  for (const place of places) uses[place]!++;
  for (let i = total - 1; i > 0; i--) {
    const other = random.bits() % (i + 1);
    [places[i], places[other]] = [places[other]!, places[i]!];
  }
  known.set(layers, { places, uses });
  return { places, uses };
}
