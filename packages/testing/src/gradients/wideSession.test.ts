/** @file In which precision a graph is computed, and what is refused. */

import { expect, it } from 'vitest';
import { float32, type Tensor } from '@onnx-lora/sdk';
import { type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { float, inferNode } from '@onnx-lora/sdk/plugin';
import { modelOf } from '../graphs.ts';
import { floatTensor, wideSession } from './wideSession.ts';

async function computed(emit: (g: GraphBuilder, x: Value, w: Value) => Value, type: 'float32' | 'float16' = 'float32') {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  const [x, w] = ['x', 'w'].map((name): Value => ({ name, type, shape: [1, 1, 2, 2] })) as [Value, Value];
  const y = emit(g, x, w);
  const parts = { opset: 17, inputs: [x, w], outputs: [y.name], nodes: g.nodes, initializers: g.initializers };
  const feeds: Record<string, Tensor> = {
    x: float32([1, 2, 3, 4], [1, 1, 2, 2]),
    w: float32([0, 0, 0, 0], [1, 1, 2, 2]),
  };
  const { session, precision } = await wideSession(modelOf(parts), new Set(['w']), feeds, 'test');
  try {
    const wide = floatTensor(Float64Array.of(1e-12, 0, 0, 0), [1, 1, 2, 2], precision);
    return { precision, output: (await session.run({ ...feeds, w: wide }))[y.name]! };
  } finally {
    await session.release();
  }
}

it('what depends on the inputs is computed in float64, and sees what single precision loses', async () => {
  const { precision, output } = await computed((g, x, w) => g.Sub(g.Add(g.Tanh(g.Mul(x, 0)), g.Add(w, 1)), 1));
  expect(precision).toBe('float64');
  expect(output.type).toBe('float64');
  expect(Number(output.data[0])).toBeCloseTo(1e-12, 15);
});

it('an operator without a float64 kernel makes it float32', async () => {
  const { precision, output } = await computed((g, x, w) =>
    g.Sub(g.emit('LRN', [g.Add(x, g.Add(w, 1))], { size: 1 }), 1),
  );
  expect(precision).toBe('float32');
  expect(output.type).toBe('float32');
});

it.each<[string, (g: GraphBuilder, x: Value) => Value]>([
  ['Conv', (g, x) => g.emit('Conv', [x, g.constant(float32([1, -2, 3, 4, 5, -6], [3, 1, 1, 2]))])],
  ['ConvTranspose', (g, x) => g.emit('ConvTranspose', [x, g.constant(float32([1, -2, 3, 4, 5, -6, 7, 8], [1, 2, 2, 2])), g.constant(float32([1, 2], [2]))], { strides: [2, 2], kernel_shape: [2, 2] })],
  ['AveragePool', (g, x) => g.emit('AveragePool', [x], { kernel_shape: [2, 1] })],
  ['Resize', (g, x) => g.emit('Resize', [x, undefined, g.constant(float32([1, 1, 2, 3], [4]))], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' })],
  ['Atan', (g, x) => g.emit('Atan', [g.Mul(g.Sub(x, 2.3), 2)])],
  ['x · σ(x)', (g, x) => { const z = g.Sub(x, 2.5); return g.Mul(z, g.Sigmoid(z)); }],
  ['Softplus', (g, x) => g.Softplus(g.Sub(x, 2.5))],
  ['HardSigmoid', (g, x) => g.emit('HardSigmoid', [g.Sub(x, 2)], { alpha: float(0.25) })],
])('%s is made of operators that have a float64 kernel, and computes the same', async (_, emit) => {
  const { precision, output } = await computed((g, x, w) => emit(g, g.Add(x, w)));
  const { output: single } = await computed((g, x) => emit(g, x));
  expect(precision).toBe('float64');
  expect(output.dims).toEqual(single.dims);
  output.data.forEach((value, i) => expect(Number(value)).toBeCloseTo(Number(single.data[i]), 5));
}); // prettier-ignore

it('so does a recurrent operator, which would fail only when it is run', async () => {
  const { precision, output } = await computed((g, x, w) => {
    const weights = g.Add(g.Reshape(w, [1, 2, 2]), 0.5);
    const six = g.Concat([weights, weights, weights], 1);
    return g.emit('GRU', [g.Reshape(x, [2, 1, 2]), six, six], { hidden_size: 2 });
  });
  expect(precision).toBe('float32');
  expect(output.type).toBe('float32');
});

it('16-bit floats are refused', async () => {
  await expect(computed((g, x, w) => g.Add(x, w), 'float16')).rejects.toMatchObject({ code: 'MODEL_UNSUPPORTED' });
});
