/** @file AdaMSS: clusters a layer's outputs by their weights, with a small low-rank ΔW per cluster. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { transpose, type TensorSpec, type Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { type AdamssSettings, directionsOf, groupsOf, rankOf, vectorsOf } from './adamssGroups.ts';
import { transposed } from '../rotations/rotation.ts';
import { finite, trainsWith, whole } from '../settings.ts';
import { normal, zeros } from '../tensors.ts';

const training = { use_asa: false };

export const adamss: Tuner = {
  name: 'adamss',
  peftType: 'ADAMSS',
  paper: 'https://openreview.net/forum?id=8ZdWmpYxT0',
  description:
    'AdaMSS: groups the outputs of a layer by their weights, and trains a low-rank change of each group, behind `r` directions of the weight',
  defaults: {
    r: 100,
    num_subspaces: 5,
    subspace_rank: 1,
    init_weights: 'orthogonal',
    ...training,
    asa_target_subspaces: 50,
    init_warmup: 50,
    final_warmup: 1000,
    mask_interval: 100,
    asa_importance_beta: 0.85,
    asa_uncertainty_beta: 0.85,
    asa_schedule_exponent: 3,
    use_dynamic_rank: false,
    svd_threshold: 0.1,
    random_seed: 0,
    layers_pattern: null,
    layers_to_transform: null,
  },
  tune: (layer, settings, _, saved) => {
    const own = settings as unknown as AdamssSettings;
    for (const key of ['r', 'num_subspaces', 'subspace_rank']) whole(settings, key);
    for (const key of ['svd_threshold', 'random_seed']) finite(settings, key);
    const { in: width, out: height } = layer;
    const columns = width + Number(layer.bias);
    const rank = Math.min(own.r, height, columns);
    const groups = groupsOf(layer, own);
    const ranks = groups.map((rows, i) => saved?.[`adamss_A.${i}`]?.[0] ?? rankOf(layer, rows, own));
    const found = Object.keys(saved ?? {}).filter((name) => name.startsWith('adamss_B.')).map((name) => saved![name]![0]); // prettier-ignore
    if (saved && found.join() !== groups.map((rows) => rows.length).join()) {
      throw new OnnxLoraError(
        'ADAPTER_INVALID',
        `The adapter has groups of ${found.join(', ')} outputs of "${layer.path}", whose weight gives groups of ${groups.map((rows) => rows.length).join(', ')}. It is for another base, or was made by other numerical libraries: use the base that it was trained on.`,
      );
    }
    const A = (i: number): TensorSpec => ({ ...zeros([ranks[i]!, rank]), init: () => directionsOf(layer, groups[i]!, own, ranks[i]!) }); // prettier-ignore
    const B = (i: number): TensorSpec => (own.init_weights === 'orthogonal' ? zeros([groups[i]!.length, ranks[i]!]) : normal([groups[i]!.length, ranks[i]!], 0.01)); // prettier-ignore
    const each = (name: string, tensor: (i: number) => TensorSpec): Record<string, TensorSpec> =>
      Object.fromEntries(groups.map((_, i) => [`${name}.${i}`, tensor(i)]));
    // The row of each output in the concatenated groups.
    const places = groups.flat().reduce((at, row, i) => at.with(row, BigInt(i)), new BigInt64Array(height));
    /** B·A of all groups in the order of outputs, `[out, r]`. */
    const products = (g: GraphBuilder, tensors: Readonly<Record<string, Value>>): Value => {
      const parts = groups.map((_, i) => g.MatMul(tensors[`adamss_B.${i}`]!, tensors[`adamss_A.${i}`]!));
      return g.Gather(g.Concat(parts, 0), g.ints(Array.from(places, Number)), 0);
    };
    const part = (g: GraphBuilder, { adamss_newB: V }: Readonly<Record<string, Value>>, from: number, to: number): Value => g.Slice(V!, [from], [to], [1]); // prettier-ignore
    const shift = (g: GraphBuilder, tensors: Readonly<Record<string, Value>>): Value =>
      g.Reshape(g.MatMul(products(g, tensors), part(g, tensors, width, columns)), [height]);
    return {
      linearIn: groups.map((_, i) => `adamss_B.${i}`),
      tensors: {
        ...each('adamss_A', A),
        ...each('adamss_B', B),
        adamss_newB: { ...zeros([rank, columns]), role: 'frozen', init: () => Float32Array.from(transpose(vectorsOf(layer, own).V).data) }, // prettier-ignore
      },
      apply: (g, { x, forward }, tensors) => {
        const inside = g.MatMul(x, transposed(g, part(g, tensors, 0, width)));
        const last = layer.bias ? g.Add(inside, g.Reshape(part(g, tensors, width, columns), [rank])) : inside;
        return g.Add(forward(x), g.MatMul(last, transposed(g, products(g, tensors))));
      },
      weight: (g, weight, tensors) => g.Add(weight, g.MatMul(products(g, tensors), part(g, tensors, 0, width))),
      ...(layer.bias && { bias: (g: GraphBuilder, bias: Value, tensors: Readonly<Record<string, Value>>) => g.Add(bias, shift(g, tensors)) }), // prettier-ignore
    };
  },
  ...trainsWith('adamss', training),
};
