/** @file Supertuning: trains the entries of largest or smallest magnitude, with an optional LoRA product. */

import type { TargetLayer, TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import { scattered } from '../fragments.ts';
import { finite, requireOnly, whole, wrong } from '../settings.ts';
import { normal, uniform, zeros } from '../tensors.ts';

const count = (layer: TargetLayer, sparsity: unknown): number =>
  Math.trunc(layer.in * layer.out * (1 - (sparsity as number)));

export const supertuning: Tuner = {
  name: 'supertuning',
  peftType: 'SUPERTUNING',
  paper: 'https://arxiv.org/abs/2607.09287',
  description: 'Supertuning: the numbers of the weight that are largest, with a rank also a product as of LoRA (Supra)',
  defaults: {
    sparsity: 0.99,
    select_top: true,
    r: null,
    lora_alpha: null,
    lora_dropout: 0,
    init_weights: true,
    save_precomputed_indices: true,
  },
  refuses: (layer, { sparsity }) =>
    count(layer, sparsity) < 1
      ? `has ${layer.in * layer.out} numbers, and sparsity ${String(sparsity)} leaves none of them to train`
      : undefined,
  tune: (layer, settings, _, saved) => {
    const { select_top: top, lora_alpha: alpha, init_weights: begins, save_precomputed_indices: isSaved } = settings;
    const sparsity = finite(settings, 'sparsity');
    if (!(sparsity >= 0 && sparsity < 1)) throw wrong(settings, 'sparsity', 'a number from 0 to below 1');
    const rank = settings['r'] === null ? null : whole(settings, 'r');
    if (rank === null && alpha !== null) throw wrong(settings, 'lora_alpha', 'null without r');
    // In PEFT dropout acts on the product's input alone.
    if (rank !== null && saved === undefined) requireOnly(settings, { lora_dropout: 0 });
    const trained = count(layer, sparsity);
    const indices: TensorSpec = {
      dims: [trained],
      integers: { type: 'int32', below: layer.in * layer.out },
      ...(isSaved === false ? { role: 'seeded' } : {}),
      init: () => extremes(layer.weight(), trained, top !== false),
      identity: () => new Int32Array(trained),
    };
    const scaling = ((alpha as number | null) ?? 2 * rank!) / rank!;
    const product: Record<string, TensorSpec> =
      rank === null
        ? {}
        : {
            'supertuning_lora_A.weight': uniform([rank, layer.in], 1 / Math.sqrt(layer.in)),
            'supertuning_lora_B.weight': begins === false ? uniform([layer.out, rank], 1 / Math.sqrt(rank)) : zeros([layer.out, rank]), // prettier-ignore
          };
    return {
      // In a merged weight other entries may be the largest.
      readsWeight: isSaved === false,
      linearIn: ['supertuning_values', ...(rank === null ? [] : ['supertuning_lora_B.weight'])],
      tensors: {
        supertuning_indices: indices,
        supertuning_values: begins === false ? normal([trained], 1) : zeros([trained]),
        ...product,
      },
      delta: (
        g,
        {
          supertuning_indices: places,
          supertuning_values: values,
          'supertuning_lora_A.weight': A,
          'supertuning_lora_B.weight': B,
        },
      ) => {
        const sparse = scattered(g, places!, values!, layer.weightShape);
        return A ? g.Add(sparse, g.Mul(g.MatMul(B!, A), scaling)) : sparse;
      },
    };
  },
};

function extremes(numbers: Float32Array, amount: number, isLargest: boolean): Int32Array {
  const sizes = numbers.map(Math.abs);
  const order = Int32Array.from(sizes, (_, i) => i).sort(
    (a, b) => (isLargest ? sizes[b]! - sizes[a]! : sizes[a]! - sizes[b]!) || a - b,
  );
  return order.slice(0, amount);
}
