/** @file MELoRA: several small LoRAs as blocks on the diagonal of ΔW. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { identity } from '../rotations/rotation.ts';
import { dropoutOf, finite, whole, wrong } from '../settings.ts';
import { kaiming, zeros } from '../tensors.ts';

export const melora: Tuner = {
  name: 'melora',
  peftType: 'MELORA',
  paper: 'https://arxiv.org/abs/2402.17263',
  description:
    'MELoRA: a change of several blocks along the diagonal, each of low rank: their ranks add up, their numbers do not',
  defaults: { r: 8, blocks: 2, alpha: 16, dropout: 0 },
  tune: ({ in: inputs, out, path }, settings) => {
    const [r, n] = [whole(settings, 'r'), whole(settings, 'blocks')];
    if (inputs % n !== 0 || out % n !== 0) throw wrong(settings, 'blocks', `a divisor of the ${inputs} inputs and ${out} outputs of "${path}"`); // prettier-ignore
    const [width, height] = [inputs / n, out / n];
    const scaling = finite(settings, 'alpha') / r;
    return {
      tensors: { melora_A: kaiming([n, r, width], width), melora_B: zeros([n, height, r]) },
      dropout: dropoutOf(settings, 'dropout'),
      factors: (g, { melora_A: A, melora_B: B }) => {
        const own = g.Reshape(identity(g, n), [n, 1, n, 1]);
        return {
          A: g.Reshape(g.Mul(g.Unsqueeze(A!, [2]), own), [n * r, inputs]),
          B: g.Reshape(g.Mul(g.Unsqueeze(g.Mul(B!, scaling), [2]), own), [out, n * r]),
        };
      },
    };
  },
};
