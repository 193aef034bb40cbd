/** @file GraLoRA: cuts the weight into k × k blocks with a low-rank ΔW each. */

import type { TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import { dropoutOf, finite, peftLayers, requireOnly, whole, wrong } from '../settings.ts';
import { identity } from '../rotations/rotation.ts';
import { kaiming, zeros } from '../tensors.ts';

export const gralora: Tuner = {
  name: 'gralora',
  peftType: 'GRALORA',
  paper: 'https://arxiv.org/abs/2505.20355',
  description: 'GraLoRA: a low-rank change for each block of the weight, with as many numbers as one for all of it',
  defaults: {
    r: 32,
    hybrid_r: 0,
    alpha: 64,
    gralora_dropout: 0,
    gralora_k: 2,
    fan_in_fan_out: false,
    bias: 'none',
    init_weights: true,
    ...peftLayers,
  },
  tune: ({ in: inputs, out, path }, settings) => {
    requireOnly(settings, { bias: 'none' });
    const [r, k, hybrid] = [whole(settings, 'r'), whole(settings, 'gralora_k'), whole(settings, 'hybrid_r', 0)];
    if (r % k !== 0) throw wrong(settings, 'gralora_k', `a divisor of r, ${r}`);
    if (inputs % k !== 0 || out % k !== 0) throw wrong(settings, 'gralora_k', `a divisor of the ${inputs} inputs and ${out} outputs of "${path}"`); // prettier-ignore
    const [q, width, height] = [r / k, inputs / k, out / k];
    const scaling = finite(settings, 'alpha') / (r + hybrid);
    const isRandom = settings['init_weights'] === false;
    const begun = (dims: readonly number[], reads: number): TensorSpec =>
      isRandom ? kaiming(dims, reads) : zeros(dims);
    const general = {
      'gralora_A_general.weight': kaiming([hybrid, inputs]),
      'gralora_B_general.weight': begun([out, hybrid], hybrid),
    };
    return {
      tensors: {
        gralora_A: kaiming([k, width, r], width),
        gralora_B: begun([k, r, height], r),
        ...(hybrid > 0 ? general : {}),
      },
      dropout: dropoutOf(settings, 'gralora_dropout'),
      // Row (n, s) of A reads only the inputs of block n, and writes only the outputs of block s / q.
      factors: (g, { gralora_A: a, gralora_B: b, ...more }) => {
        const own = identity(g, k);
        const rows = g.Reshape(g.Transpose(a!, [0, 2, 1]), [k, r, 1, width]);
        const columns = g.Reshape(g.Transpose(g.Reshape(b!, [k, k, q, height]), [0, 3, 1, 2]), [k, height, k, 1, q]);
        const A = g.Reshape(g.Mul(rows, g.Reshape(own, [k, 1, k, 1])), [k * r, inputs]);
        const B = g.Reshape(g.Mul(columns, g.Reshape(g.Mul(own, scaling), [k, 1, 1, k, 1])), [out, k * r]);
        const [generalA, generalB] = [more['gralora_A_general.weight'], more['gralora_B_general.weight']];
        if (!generalA || !generalB) return { A, B };
        return { A: g.Concat([A, generalA], 0), B: g.Concat([B, g.Mul(generalB, scaling)], 1) };
      },
    };
  },
};
