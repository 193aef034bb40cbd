/** @file Lily: layers share factors; a router mixes several B by the batch's mean. */

import type { Tensor } from '@onnx-lora/sdk';
import { type TargetLayer, type TensorSpec, type Tuner } from '@onnx-lora/sdk/plugin';
import { finite, peftModules, requireOnly, whole } from '../settings.ts';
import { kaiming, zeros } from '../tensors.ts';

export const lily: Tuner = {
  name: 'lily',
  peftType: 'LILY',
  paper: 'https://arxiv.org/abs/2407.09946',
  description: 'Lily: factors that layers share, mixed by a router over all rows of a batch',
  mixesRows: true,
  defaults: { ...peftModules, r: 32, stride_A: 1, num_B: 2, scaling: 1, init_weights: true },
  tune: (layer, settings, layers, saved, read) => {
    const [r, stride, count, scaling] = [whole(settings, 'r'), whole(settings, 'stride_A'), whole(settings, 'num_B'), finite(settings, 'scaling')]; // prettier-ignore
    if (saved === undefined) requireOnly(settings, { init_weights: true });
    // PEFT shares between layers of one shape whose names end alike.
    const alike = layers.filter((each) => kindOf(each) === kindOf(layer));
    const own = alike.findIndex(({ path }) => path === layer.path);
    /**
     * The layer that owns a shared tensor: the first of those that share. A file shows them by equal numbers: PEFT also
     * shares between other names, where one pattern targets them. Zeros, from which every B starts, show nothing.
     */
    const ownerOf = (name: string, first: number): string => {
      const wanted = read?.(name);
      if (!read || !wanted) return alike[first]!.path;
      const isZero = wanted.data.every((each) => each === 0);
      const mayShare = isZero ? alike : layers.filter(({ weightShape }) => shapeOf(weightShape) === shapeOf(layer.weightShape)); // prettier-ignore
      return mayShare.find(({ path }) => isSame(read(name, path), wanted))!.path;
    };
    const shared = (tensor: TensorSpec, name: string, first: number): TensorSpec => ({
      ...tensor,
      share: { group: ownerOf(name, first), inEach: true },
    });
    return {
      linearIn: ['lily_B.weight'],
      tensors: {
        'lily_A.weight': shared(kaiming([r, layer.in]), 'lily_A.weight', own - (own % stride)),
        'lily_B.weight': shared(zeros([count * r, layer.out]), 'lily_B.weight', 0),
        'lily_router.weight': kaiming([count, r]),
      },
      apply: (g, { x, forward }, { 'lily_A.weight': A, 'lily_B.weight': B, 'lily_router.weight': router }) => {
        const hidden = g.MatMul(x, g.Transpose(A!, [1, 0]));
        const last = x.shape!.length - 1;
        const shares = g.Softmax(g.MatMul(hidden, g.Transpose(router!, [1, 0])), last);
        const mean = g.ReduceMean(shares, Array.from({ length: last }, (_, axis) => axis), false); // prettier-ignore
        const mixed = g.MatMul(g.Reshape(mean, [1, count]), g.Reshape(B!, [count, r * layer.out]));
        const change = g.MatMul(hidden, g.Reshape(mixed, [r, layer.out]));
        return g.Add(forward(x), g.Mul(change, scaling));
      },
    };
  },
};

function kindOf({ path, weightShape }: TargetLayer): string {
  return `${path.slice(path.lastIndexOf('.') + 1)} ${shapeOf(weightShape)}`;
}

function shapeOf(dims: readonly number[]): string {
  return dims.join('x');
}

function isSame(one: Tensor | undefined, other: Tensor | undefined): boolean {
  if (one === other || !one || !other) return one === other;
  return one.data.length === other.data.length && one.data.every((each, i) => each === other.data[i]);
}
