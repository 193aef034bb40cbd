/** @file LoRA-XS: trains an r × r matrix between the weight's leading singular vectors. */

import {
  leadingSvd,
  matrix,
  scaleColumns,
  type SingularValues,
  transpose,
  type TensorSpec,
  type Tuner,
} from '@onnx-lora/sdk/plugin';
import { dropoutOf, finite, whole } from '../settings.ts';
import { normal, zeros } from '../tensors.ts';

type Random = Parameters<TensorSpec['init']>[0];

export const loraXs: Tuner = {
  name: 'lora-xs',
  peftType: 'LORA_XS',
  paper: 'https://arxiv.org/abs/2405.17604',
  description: "LoRA-XS: trains a square matrix of the rank's size, between the largest singular vectors of the weight",
  defaults: { r: 16, alpha: 16, dropout: 0, init_std: 1e-5 },
  refuses: ({ in: inputs, out }, { r }) =>
    (r as number) > Math.min(inputs, out)
      ? `has ${Math.min(inputs, out)} singular vectors, and the rank is ${String(r)}`
      : undefined,
  tune: ({ in: inputs, out, weight }, settings) => {
    const r = whole(settings, 'r');
    const scaling = finite(settings, 'alpha') / r;
    // One decomposition for both factors: signs are arbitrary but must agree.
    let known: SingularValues | undefined;
    const decomposed = (random: Random): SingularValues =>
      (known ??= leadingSvd(matrix(out, inputs, weight()), r, random));
    const frozen = (dims: readonly number[], first: TensorSpec['init']): TensorSpec => ({
      ...zeros(dims),
      role: 'frozen',
      init: first,
    });
    return {
      tensors: {
        xs_A: frozen([r, inputs], (random) => {
          const { S, V } = decomposed(random);
          return Float32Array.from(transpose(scaleColumns(V, S)).data);
        }),
        xs_B: frozen([out, r], (random) => Float32Array.from(decomposed(random).U.data)),
        xs_R: normal([r, r], finite(settings, 'init_std')),
      },
      dropout: dropoutOf(settings, 'dropout'),
      factors: (g, { xs_A: A, xs_B: B, xs_R: R }) => ({ A: A!, B: g.Mul(g.MatMul(B!, R!), scaling) }),
    };
  },
};
