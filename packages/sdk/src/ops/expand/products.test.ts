/** @file Fused products and convolutions against ONNX Runtime's own kernels. */

import { expect, test } from 'vitest';
import {
  describeExpansions,
  expansionOf,
  type Fused,
  runExpanded,
  w,
  x,
} from '../../../../../test/support/expansion.ts';
import { float } from '../../graph/attributes.ts';

const sizes = { batch: 2, seq: 5 };
const parameters = (...floats: number[]): Pick<Fused, 'lists'> => ({
  lists: [{ name: 'activation_params', type: 6, floats }],
});
const image = [x('batch', 3, 7, 6), w(4, 3, 3, 3), w(4)];
const fusedConv = (activation: string, more: Partial<Fused> = {}): Fused => ({
  op: 'FusedConv', sizes, attributes: { activation }, inputs: image, ...more,
}); // prettier-ignore
const fusedGemm = (attributes: NonNullable<Fused['attributes']>): Fused => ({
  op: 'FusedGemm', sizes, attributes, inputs: [x('batch', 6), w(6, 4), w(4)],
}); // prettier-ignore

describeExpansions({
  'FusedMatMul': { op: 'FusedMatMul', sizes, attributes: { alpha: 0.5 }, inputs: [x('batch', 'seq', 6), w(6, 4)] },
  'FusedMatMul by a turned weight': { op: 'FusedMatMul', sizes, attributes: { transB: 1, alpha: float(2) }, inputs: [x('batch', 'seq', 6), w(4, 6)] },
  'FusedMatMul of rows by a turned weight': { op: 'FusedMatMul', sizes, attributes: { transB: 1 }, inputs: [x('seq', 6), w(4, 6)] },
  'FusedMatMul, both turned': { op: 'FusedMatMul', sizes, attributes: { transA: 1, transB: 1 }, inputs: [x('batch', 6, 'seq'), x('batch', 4, 6)] },
  'FusedMatMul, batch of A turned': { op: 'FusedMatMul', sizes, attributes: { transBatchA: 1 }, inputs: [x('seq', 'batch', 6), x('batch', 6, 4)] },
  'FusedMatMul, batches and rows turned': {
    op: 'FusedMatMul', sizes, attributes: { transBatchA: 1, transBatchB: 1, transA: 1, transB: 1 },
    inputs: [x(6, 'batch', 3, 'seq'), x(4, 'batch', 3, 6)],
  },
  'TransposeMatMul': { op: 'TransposeMatMul', sizes, attributes: { transA: 1, alpha: 0.5 }, inputs: [x('batch', 6, 'seq'), x('batch', 6, 4)] },
  'FusedGemm with Relu': fusedGemm({ activation: 'Relu', alpha: 0.5, beta: 1.5 }),
  'FusedGemm with Tanh': fusedGemm({ activation: 'Tanh' }),
  'FusedGemm with Sigmoid': fusedGemm({ activation: 'Sigmoid' }),
  'FusedGemm with Softplus': fusedGemm({ activation: 'Softplus' }),
  'FusedGemm with Softsign': fusedGemm({ activation: 'Softsign' }),
  'FusedGemm with LeakyRelu': fusedGemm({ activation: 'LeakyRelu', activation_alpha: 0.2 }),
  'FusedGemm with Elu': fusedGemm({ activation: 'Elu', activation_alpha: 0.7 }),
  'FusedGemm with Selu': fusedGemm({ activation: 'Selu', activation_alpha: 1.5, activation_gamma: 0.9 }),
  'FusedGemm with ThresholdedRelu': fusedGemm({ activation: 'ThresholdedRelu', activation_alpha: 0.3 }),
  'FusedGemm with HardSigmoid': fusedGemm({ activation: 'HardSigmoid', activation_alpha: 0.3, activation_beta: 0.4 }),
  'FusedGemm, turned': { op: 'FusedGemm', sizes, attributes: { activation: 'Relu', transA: 1, transB: 1 }, inputs: [x(6, 'batch'), w(4, 6)] },
  'FusedConv with Relu': fusedConv('Relu'),
  'FusedConv with Tanh': fusedConv('Tanh', { inputs: image.slice(0, 2) }),
  'FusedConv with Sigmoid, strides and pads': fusedConv('Sigmoid', { attributes: { activation: 'Sigmoid', strides: [2, 1], pads: [1, 0, 2, 1] } }),
  'FusedConv with LeakyRelu': fusedConv('LeakyRelu', parameters(0.3)),
  'FusedConv with Clip': fusedConv('Clip', parameters(-0.5, 0.75)),
  'FusedConv with HardSigmoid': fusedConv('HardSigmoid', parameters(0.3, 0.4)),
  'FusedConv with a sum': fusedConv('Relu', { inputs: [...image, x('batch', 4, 5, 4)] }),
  'FusedConv in groups, dilated': fusedConv('Relu', {
    attributes: { activation: 'Relu', group: 2, dilations: [2, 1], kernel_shape: [2, 2], auto_pad: 'VALID' },
    inputs: [x('batch', 4, 7, 6), w(6, 2, 2, 2), w(6)],
  }),
} satisfies Record<string, Fused>); // prettier-ignore

test('weights stay inputs of the layer, which keeps the name of the node', () => {
  const layers = [
    expansionOf(
      { op: 'FusedMatMul', sizes, attributes: { transB: 1 }, inputs: [x('batch', 'seq', 6), w(4, 6)] },
      true,
    )!,
    expansionOf(fusedGemm({ activation: 'Relu' }), true)!,
    expansionOf(fusedConv('Relu'), true)!,
  ].map(({ nodes }) => nodes.find(({ name }) => name === '/layer/Fused')!);
  expect(layers.map(({ opType, input }) => [opType, ...input!.slice(1)])).toEqual([
    ['Gemm', 'in1'],
    ['Gemm', 'in1', 'in2'],
    ['Conv', 'in1', 'in2'],
  ]);
});

// Only other providers have kernels of these.
test('channels last, as channels first', async () => {
  const conv = { strides: [2, 1], pads: [1, 1, 0, 1], activation: 'Relu' };
  const last = await runExpanded({
    op: 'NhwcFusedConv',
    attributes: conv,
    inputs: [x(2, 6, 5, 3), w(4, 3, 3, 3), w(4)],
  });
  const values = last.feeds['in0']!.data as Float32Array;
  const turned = Float32Array.from({ length: values.length }, (_, i) => {
    const [n, c, position] = [Math.floor(i / 90), Math.floor(i / 30) % 3, i % 30];
    return values[n * 90 + position * 3 + c]!;
  });
  const first = await runExpanded({
    op: 'FusedConv',
    attributes: conv,
    inputs: [
      { shape: [2, 3, 6, 5], values: (_, dims) => ({ type: 'float32', dims, data: turned }) },
      ...[1, 2].map((i) => ({
        shape: last.feeds[`in${i}`]!.dims,
        constant: true,
        values: () => last.feeds[`in${i}`]!,
      })),
    ],
  });
  const [a, b] = [last.outputs['out0']!, first.outputs['out0']!];
  expect(a.dims).toEqual([b.dims[0], b.dims[2], b.dims[3], b.dims[1]]);
  const area = b.dims[2]! * b.dims[3]!;
  a.data.forEach((value, i) => {
    const [n, position, c] = [Math.floor(i / (area * 4)), Math.floor(i / 4) % area, i % 4];
    expect(value).toBeCloseTo(Number(b.data[(n * 4 + c) * area + position]), 5);
  });
});

test('leaves an unknown activation alone', () => {
  expect(expansionOf(fusedConv('Novelty'))).toBeUndefined();
});
