/** @file Expansions in half floats against single floats; ONNX Runtime has few half-float kernels on the CPU. */

import { expect, test } from 'vitest';
import { bytes, type Fused, integers, type Operand, runExpanded, w, x } from '../../../../../test/support/expansion.ts';
import { fromHalves, toHalf, toShorts } from '../../runtime/halfFloat.ts';
import type { Tensor } from '../../runtime/tensor.ts';

const heads = { num_heads: 2 };
const lengths = [integers('int32', [2], [3, 3]), integers('int32', [1], [4])];

const cases: Readonly<Record<string, Fused>> = {
  Attention: { op: 'Attention', attributes: { ...heads, unidirectional: 1 }, inputs: [x(2, 4, 8), w(8, 24), w(24), integers('int32', [2, 4], [1, 1, 1, 0, 1, 1, 1, 1])] },
  MultiHeadAttention: { op: 'MultiHeadAttention', attributes: heads, inputs: [x(2, 4, 8), x(2, 3, 8), x(2, 3, 8), w(24)] },
  GroupQueryAttention: {
    op: 'GroupQueryAttention', attributes: { num_heads: 4, kv_num_heads: 2, do_rotary: 1, smooth_softmax: 1, softcap: 2.5 }, outputs: [true, true, true],
    inputs: [x(2, 4, 64), x(2, 4, 32), x(2, 4, 32), undefined, undefined, ...lengths, w(16, 8), w(16, 8)],
  },
  'standard Attention': { op: 'Attention', domain: '', opset: 23, attributes: { is_causal: 1 }, inputs: [x(2, 2, 4, 8), x(2, 2, 4, 8), x(2, 2, 4, 8)] },
  EmbedLayerNormalization: { op: 'EmbedLayerNormalization', outputs: [true, true], inputs: [integers('int32', [2, 3], [1, 0, 2, 2, 1, 0]), undefined, w(4, 8), w(4, 8), undefined, w(8), w(8)] },
  SkipLayerNormalization: { op: 'SkipLayerNormalization', inputs: [x(2, 3, 8), x(2, 3, 8), w(8), w(8), w(8)] },
  SkipSimplifiedLayerNormalization: { op: 'SkipSimplifiedLayerNormalization', outputs: [true, false, false, true], inputs: [x(2, 3, 8), x(2, 3, 8), w(8)] },
  FastGelu: { op: 'FastGelu', inputs: [x(2, 8), w(8)] },
  BiasGelu: { op: 'BiasGelu', inputs: [x(2, 8), w(8)] },
  QuickGelu: { op: 'QuickGelu', inputs: [x(2, 8)] },
  FusedMatMul: { op: 'FusedMatMul', attributes: { alpha: 0.5, transB: 1 }, inputs: [x(2, 3, 8), w(4, 8)] },
  GroupNorm: { op: 'GroupNorm', attributes: { groups: 2, activation: 1 }, inputs: [x(2, 3, 3, 4), { ...w(4) }, w(4)] },
  MatMulNBits: { op: 'MatMulNBits', attributes: { K: 32, N: 4, bits: 4, block_size: 16 }, inputs: [x(2, 32), bytes('uint8', 0, 256, 4, 2, 8), w(4, 2)] },
}; // prettier-ignore

/** The operand in half floats. */
const half = (operand: Operand, value: Tensor): Operand => ({
  ...operand,
  shape: value.dims,
  values: (_, dims) =>
    value.type === 'float32' ? { type: 'float16', dims, data: toShorts(value.data as Float32Array, toHalf) } : value,
});

test.each(Object.entries(cases))('%s', async (_, fused) => {
  const single = await runExpanded(fused);
  const inputs = fused.inputs.map((operand, i) => operand && half(operand, single.feeds[`in${i}`]!));
  const { outputs } = await runExpanded({ ...fused, inputs });
  for (const [name, expected] of Object.entries(single.outputs)) {
    const found = outputs[name]!;
    expect([found.type, found.dims]).toEqual([expected.type === 'float32' ? 'float16' : expected.type, expected.dims]);
    const values = found.type === 'float16' ? fromHalves(found.data as Uint16Array) : found.data;
    values.forEach((value, i) => expect(Math.abs(Number(value) - Number(expected.data[i]))).toBeLessThan(0.02));
  }
});
