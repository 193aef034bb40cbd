/** @file SHiRA: trains random entries of the weight. */

import { TorchRandom, type TensorSpec, type Tuner } from '@onnx-lora/sdk/plugin';
import { scattered } from '../fragments.ts';
import { requireOnly, whole } from '../settings.ts';
import { normal, zeros } from '../tensors.ts';

export const shira: Tuner = {
  name: 'shira',
  peftType: 'SHIRA',
  paper: 'https://arxiv.org/abs/2406.13175',
  description: 'SHiRA: as many numbers of the weight as LoRA of this rank would have, at random places',
  defaults: { r: 32, mask_type: 'random', random_seed: null, fan_in_fan_out: false, init_weights: true },
  refuses: (layer, { r }) =>
    (r as number) * (layer.in + layer.out) > layer.in * layer.out
      ? `has ${layer.in * layer.out} numbers, and r = ${String(r)} asks for ${(r as number) * (layer.in + layer.out)} of them`
      : undefined,
  tune: (layer, settings, _, saved) => {
    const { random_seed: seed, init_weights: begins } = settings;
    if (saved === undefined) requireOnly(settings, { mask_type: 'random' });
    const total = layer.in * layer.out;
    const count = whole(settings, 'r') * (layer.in + layer.out);
    const indices: TensorSpec = {
      dims: [2, count],
      integers: { type: 'int32', below: [layer.out, layer.in] },
      init: (random) => {
        const chosen = typeof seed === 'number' ? new TorchRandom(seed).permuted(count, total) : random.permutation(total).slice(0, count); // prettier-ignore
        const places = Int32Array.from(chosen).sort();
        return Int32Array.from({ length: 2 * count }, (__, i) =>
          i < count ? Math.floor(places[i]! / layer.in) : places[i - count]! % layer.in,
        );
      },
      identity: () => new Int32Array(2 * count),
    };
    return {
      linearIn: ['shira_weight'],
      tensors: { shira_indices: indices, shira_weight: begins === false ? normal([count], 1) : zeros([count]) },
      delta: (g, { shira_indices: places, shira_weight: values }) => {
        const [rows, columns] = [0, 1].map((k) => g.Reshape(g.Slice(places!, [k], [k + 1], [0]), [count]));
        const width = g.constant({ type: 'int32', dims: [1], data: Int32Array.of(layer.in) });
        return scattered(g, g.Add(g.Mul(rows!, width), columns!), values!, layer.weightShape);
      },
    };
  },
};
