/** @file TT-LoRA: LoRA factors in tensor-train form. */

import type { ByTensor, TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { dropoutOf, finite, whole, wrong } from '../settings.ts';
import { normal, sizeOf, zeros } from '../tensors.ts';

const MOST_CORES = 24;

export const ttLora: Tuner = {
  name: 'tt-lora',
  peftType: 'TT_LORA',
  paper: 'https://arxiv.org/abs/2408.01008',
  description: 'TT-LoRA: a change in tensor-train form, a chain of small tensors, which has few numbers for its rank',
  defaults: { r: 8, alpha: 8, cores: 3, dropout: 0 },
  tune: ({ in: inputs, out }, settings) => {
    const [r, cores] = [whole(settings, 'r'), whole(settings, 'cores')];
    if (cores > MOST_CORES) throw wrong(settings, 'cores', `at most ${MOST_CORES}, more than a side has divisors`);
    const scaling = finite(settings, 'alpha') / r;
    const [left, right] = [divided(out, cores), divided(inputs, cores)];
    const shapes = [
      ...left.map((size, i) => [i === 0 ? 1 : r, size, r]),
      ...right.map((size, i) => [r, size, i === cores - 1 ? 1 : r]),
    ];
    // The first core is zero, so ΔW is. The right side's product has the variance of LoRA's A; the left side preserves
    // norms.
    const deviation = (i: number): number =>
      i < cores ? r ** -0.5 : (1 / (3 * inputs * r ** (cores - 1))) ** (0.5 / cores);
    const tensors: ByTensor<TensorSpec> = Object.fromEntries(
      shapes.map((dims, i) => [`tt_${i}`, i === 0 ? zeros(dims) : normal(dims, deviation(i))]),
    );
    return {
      tensors,
      dropout: dropoutOf(settings, 'dropout'),
      factors: (g, own) => {
        const all = shapes.map((_, i) => own[`tt_${i}`]!);
        const B = g.Reshape(chained(g, all.slice(0, cores)), [out, r]);
        return { A: g.Reshape(chained(g, all.slice(cores)), [r, inputs]), B: g.Mul(B, scaling) };
      },
    };
  },
};

/** Factorises into `count` balanced whole numbers, the larger first. */
function divided(size: number, count: number): number[] {
  const parts = new Array<number>(count).fill(1);
  const primes: number[] = [];
  for (let rest = size, prime = 2; rest > 1; prime++) {
    if (prime * prime > rest) prime = rest;
    for (; rest % prime === 0; rest /= prime) primes.push(prime);
  }
  for (const prime of primes.toReversed()) {
    const smallest = parts.indexOf(Math.min(...parts));
    parts[smallest]! *= prime;
  }
  return parts.sort((a, b) => b - a);
}

/** Contracts a chain of `[left, size, right]` tensors. */
function chained(g: GraphBuilder, cores: readonly Value[]): Value {
  return cores.reduce((product, core) => {
    const [common, ...rest] = core.shape as [number, ...number[]];
    const rows = sizeOf(product.shape as number[]) / common;
    const next = g.MatMul(g.Reshape(product, [rows, common]), g.Reshape(core, [common, sizeOf(rest)]));
    return g.Reshape(next, [rows * rest[0]!, rest[1]!]);
  });
}
