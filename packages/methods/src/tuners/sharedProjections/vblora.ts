/** @file VB-LoRA: builds the factors of all layers from one vector bank by top-k mixtures. */

import type { Tensor } from '@onnx-lora/sdk';
import { floats, type TensorInFile, type TensorSpec, type Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { dropoutOf, finite, peftModules, requireOnly, whole, wrong } from '../settings.ts';
import { normal, sizeOf, uniform } from '../tensors.ts';

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
  tune: ({ in: inputs, out, path }, settings, _, saved, read) => {
    requireOnly(settings, { bias: 'none' });
    const [r, vectors, length, top] = [whole(settings, 'r'), whole(settings, 'num_vectors'), whole(settings, 'vector_length'), whole(settings, 'topk')]; // prettier-ignore
    if (inputs % length !== 0 || out % length !== 0) throw wrong(settings, 'vector_length', `a divisor of the ${inputs} inputs and ${out} outputs of "${path}"`); // prettier-ignore
    if (top > vectors) throw wrong(settings, 'topk', `at most num_vectors, ${vectors}`);
    const deviation = finite(settings, 'init_logits_std');
    const logits = (name: string, dims: readonly number[]): TensorSpec => {
      const all = normal([...dims, vectors], deviation);
      const isTop = settings['save_only_topk_weights'] === true && saved?.[name] === undefined;
      return isTop ? { ...all, inFile: topInFile(name, dims, vectors, top, read) } : all;
    };
    return {
      tensors: {
        vblora_logits_A: logits('vblora_logits_A', [r, inputs / length]),
        vblora_logits_B: logits('vblora_logits_B', [out / length, r]),
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

/** Logit of a vector that a file leaves out, below the logarithms of all weights in float32: never among the top. */
const LEFT_OUT = -100;
const LEAST = Math.log(2 ** -126);

/**
 * The files of `save_only_topk_weights`: places of the top vectors, and their weights but the last, which is the rest
 * of 1. A file's own tensors are written again as long as the logits have not moved, since logarithms round.
 */
function topInFile(
  name: string,
  dims: readonly number[],
  vectors: number,
  top: number,
  given: ((name: string) => Tensor | undefined) | undefined,
): TensorInFile {
  const [places, weights] = [`${name}_topk_indices`, `${name}_topk_weights`];
  const count = sizeOf(dims);
  const read: TensorInFile['read'] = (tensors) => {
    const at = tensors[places]!.data as Int32Array;
    const shares = floats(tensors[weights]!);
    const logits = new Float32Array(count * vectors).fill(LEFT_OUT);
    for (let row = 0; row < count; row++) {
      let rest = 1;
      for (let i = 0; i < top; i++) {
        const share = i < top - 1 ? shares[row * (top - 1) + i]! : rest;
        rest -= share;
        logits[row * vectors + at[row * top + i]!] = Math.max(LEAST, Math.log(Math.max(0, share)));
      }
    }
    return logits;
  };
  const write: TensorInFile['write'] = (values) => {
    const [at, shares] = [given?.(places), given?.(weights)];
    if (at && shares && isSame(read({ [places]: at, [weights]: shares }), values)) return { [places]: at, [weights]: shares }; // prettier-ignore
    const indices = new (vectors < 2 ** 8 ? Uint8Array : vectors < 2 ** 15 ? Int16Array : Int32Array)(count * top);
    const own = new Float32Array(count * (top - 1));
    for (let row = 0; row < count; row++) {
      const logits = values.subarray(row * vectors, (row + 1) * vectors);
      const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]!).slice(0, top); // prettier-ignore
      const powers = order.map((each) => Math.exp(logits[each]! - logits[order[0]!]!));
      const sum = powers.reduce((total, each) => total + each, 0);
      indices.set(order, row * top);
      own.set(powers.slice(0, -1).map((each) => each / sum), row * (top - 1)); // prettier-ignore
    }
    const type = vectors < 2 ** 8 ? 'uint8' : vectors < 2 ** 15 ? 'int16' : 'int32';
    return {
      [places]: { type, dims: [...dims, top], data: indices },
      [weights]: { type: 'float32', dims: [...dims, top - 1], data: own },
    };
  };
  return {
    tensors: {
      [places]: { dims: [...dims, top], integers: { type: 'int32', below: vectors } },
      [weights]: { dims: [...dims, top - 1] },
    },
    read,
    write,
  };
}

function isSame(one: Float32Array, other: Float32Array): boolean {
  return one.every((each, i) => each === other[i]);
}
