/** @file VB-LoRA: builds the factors of all layers from one vector bank by top-k mixtures. */

import type { TensorSpec, Tuner, AdapterLayer } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { dropoutOf, finite, peftModules, requireOnly, whole, wrong } from '../settings.ts';
import { normal, sizeOf, uniform, zeros } from '../tensors.ts';

export const vblora: Tuner = {
  name: 'vblora',
  peftType: 'VBLORA',
  paper: 'https://arxiv.org/abs/2405.15179',
  description:
    'VB-LoRA: low-rank changes of vectors from one bank for all layers, and which of them each part is made of',
  defaults: {
    r: 4,
    num_vectors: 256,
    vector_length: 256,
    topk: 2,
    save_only_topk_weights: false,
    vblora_dropout: 0,
    init_vector_bank_bound: 0.02,
    init_logits_std: 0.1,
    fan_in_fan_out: false,
    bias: 'none',
    ...peftModules,
  },
  tune: ({ in: inputs, out, path }, settings, _, saved) => {
    // A file with the top weights alone can be served, not trained.
    const isTop = saved !== undefined && settings['save_only_topk_weights'] === true;
    requireOnly(settings, { bias: 'none', ...(isTop ? {} : { save_only_topk_weights: false }) });
    const [r, vectors, length, top] = [whole(settings, 'r'), whole(settings, 'num_vectors'), whole(settings, 'vector_length'), whole(settings, 'topk')]; // prettier-ignore
    if (inputs % length !== 0 || out % length !== 0) throw wrong(settings, 'vector_length', `a divisor of the ${inputs} inputs and ${out} outputs of "${path}"`); // prettier-ignore
    if (top > vectors) throw wrong(settings, 'topk', `at most num_vectors, ${vectors}`);
    const deviation = finite(settings, 'init_logits_std');
    if (isTop) return ofTheTop({ r, vectors, length, top, inputs, out });
    return {
      tensors: {
        vblora_logits_A: normal([r, inputs / length, vectors], deviation),
        vblora_logits_B: normal([out / length, r, vectors], deviation),
        vblora_vector_bank: {
          ...uniform([vectors, length], finite(settings, 'init_vector_bank_bound')),
          share: 'adapter',
        },
      },
      dropout: dropoutOf(settings, 'vblora_dropout'),
      factors: (g, { vblora_logits_A: a, vblora_logits_B: b, vblora_vector_bank: bank }) => ({
        A: g.Reshape(fromBank(g, a!, bank!, top), [r, inputs]),
        B: g.Reshape(g.Transpose(fromBank(g, b!, bank!, top), [0, 2, 1]), [out, r]),
      }),
    };
  },
};

/** `[..., length]` from logits `[..., vectors]`: the top vectors, weighted by softmax. */
function fromBank(g: GraphBuilder, logits: Value, bank: Value, top: number): Value {
  const [largest, places] = g.emitMany('TopK', [logits, g.ints([top])], 2);
  const weights = g.Unsqueeze(g.Softmax(largest!, 2), [3]);
  return g.ReduceSum(g.Mul(weights, g.Gather(bank, places!, 0)), [2], false);
}

interface BankSizes {
  readonly r: number;
  readonly vectors: number;
  readonly length: number;
  readonly top: number;
  readonly inputs: number;
  readonly out: number;
}

function ofTheTop({ r, vectors, length, top, inputs, out }: BankSizes): AdapterLayer {
  const places = (dims: readonly number[]): TensorSpec => ({
    dims,
    integers: { type: 'int32', below: vectors },
    init: () => new Int32Array(sizeOf(dims)),
    identity: () => new Int32Array(sizeOf(dims)),
  });
  const [A, B] = [[r, inputs / length] as const, [out / length, r] as const];
  const factor = (g: GraphBuilder, indices: Value, weights: Value, bank: Value): Value => {
    const last = g.Sub(1, g.ReduceSum(weights, [2], true));
    const all = g.Unsqueeze(top === 1 ? last : g.Concat([weights, last], 2), [3]);
    return g.ReduceSum(g.Mul(all, g.Gather(bank, indices, 0)), [2], false);
  };
  return {
    tensors: {
      vblora_logits_A_topk_indices: places([...A, top]),
      vblora_logits_A_topk_weights: { ...zeros([...A, top - 1]), role: 'frozen' },
      vblora_logits_B_topk_indices: places([...B, top]),
      vblora_logits_B_topk_weights: { ...zeros([...B, top - 1]), role: 'frozen' },
      vblora_vector_bank: { ...zeros([vectors, length]), share: 'adapter' },
    },
    factors: (g, tensors) => {
      const of = (name: 'A' | 'B'): Value => factor(g, tensors[`vblora_logits_${name}_topk_indices`]!, tensors[`vblora_logits_${name}_topk_weights`]!, tensors['vblora_vector_bank']!); // prettier-ignore
      return { A: g.Reshape(of('A'), [r, inputs]), B: g.Reshape(g.Transpose(of('B'), [0, 2, 1]), [out, r]) };
    },
  };
}
