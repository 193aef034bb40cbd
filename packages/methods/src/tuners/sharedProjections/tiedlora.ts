/** @file Tied-LoRA: layers of one shape share A and B; each scales them by two vectors. */

import type { TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import { dropoutOf, finite, whole, wrong } from '../settings.ts';
import { filled, kaiming, zeros } from '../tensors.ts';

const parts = ['A', 'B', 'u', 'v'] as const;

export const tiedlora: Tuner = {
  name: 'tiedlora',
  peftType: 'TIED_LORA',
  paper: 'https://arxiv.org/abs/2311.09578',
  description: 'Tied-LoRA: layers of one shape share the factors of LoRA, which each scales by vectors',
  defaults: { r: 8, alpha: 8, dropout: 0, trains: [...parts] },
  tune: (layer, settings) => {
    const [r, alpha, dropout] = [whole(settings, 'r'), finite(settings, 'alpha'), dropoutOf(settings, 'dropout')];
    const trains = settings['trains'] as readonly string[];
    const isKnown = Array.isArray(trains) && trains.every((each) => parts.some((part) => part === each));
    if (!isKnown || trains.length === 0) throw wrong(settings, 'trains', `some of ${parts.join(', ')}`);
    if (!trains.includes('B') && !trains.includes('v')) throw wrong(settings, 'trains', 'with B or v; one of them starts at zero'); // prettier-ignore
    const tensor = (part: (typeof parts)[number], own: TensorSpec): TensorSpec => ({
      ...own,
      ...(trains.includes(part) ? {} : { role: 'frozen' }),
    });
    const share = { group: `${layer.out}x${layer.in}` };
    // A frozen B must not be zero; the vector v then starts at zero in its place.
    const isBTrained = trains.includes('B');
    return {
      dropout,
      linearIn: ['tied_v'],
      tensors: {
        tied_A: { ...tensor('A', kaiming([r, layer.in])), share },
        tied_B: { ...tensor('B', isBTrained ? zeros([layer.out, r]) : kaiming([layer.out, r])), share },
        tied_u: tensor('u', filled([r], 1, 0)),
        tied_v: tensor('v', filled([layer.out], isBTrained ? 1 : 0, 0)),
      },
      factors: (g, { tied_A: A, tied_B: B, tied_u: u, tied_v: v }) => ({
        A: g.Mul(A!, g.Unsqueeze(u!, [1])),
        B: g.Mul(g.Mul(B!, g.Unsqueeze(v!, [1])), alpha / r),
      }),
    };
  },
};
