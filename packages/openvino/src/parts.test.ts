/** @file Parts of a graph, run one after the other, against the whole graph. */

import { float32, int64, type Tensor } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { inferGraph } from '@onnx-lora/sdk/plugin';
import { ctc } from '@onnx-lora/sdk/tasks';
import { expect, it } from 'vitest';
import { differentiated } from '../../../test/support/differentiated.ts';
import { runOnce } from '../../../test/support/graphs.ts';
import { partsOf } from './parts.ts';

const shapes = { x: [2, 6, 4], w: [4, 5] };

/** The CTC loss of a linear layer with a bias that is computed of constants, and its gradients. */
function learned(labels: readonly number[]) {
  return differentiated(shapes, ['x', 'w'], (g, { x, w }) => {
    const bias = g.Exp(g.constant(float32([-1, 0, 1, 0.5, -0.5], [5])));
    const scores = g.Add(g.MatMul(g.Tanh(x!), w!), bias);
    return g.Mul(
      ctc(g, scores, g.constant(int64([...labels], [2, 2])), { blank: 0, zeroInfinity: true }),
      g.ReduceMean(bias, [0], false),
    );
  }).model;
}

it('gives what the whole graph gives, from OpenVINO, ONNX Runtime and OpenVINO', async () => {
  const random = new Random(1);
  for (const labels of [
    [1, 2, 3, 3],
    [4, -100, 2, 1],
    [3, 3, -100, -100],
  ]) {
    // prettier-ignore
    const model = learned(labels);
    const feeds = {
      x: float32(Float32Array.from({ length: 48 }, () => random.normal()), shapes.x),
      w: float32(Float32Array.from({ length: 20 }, () => random.normal()), shapes.w),
    }; // prettier-ignore
    const parts = partsOf(model);
    expect(parts.map(({ engine }) => engine)).toEqual(['openvino', 'onnxruntime', 'openvino']);
    const known: Record<string, Tensor> = { ...feeds };
    for (const { model: part } of parts) {
      const own = Object.fromEntries(part.graph!.input!.map(({ name }) => [name!, known[name!]!]));
      Object.assign(known, await runOnce(part, own));
    }
    for (const [name, { data }] of Object.entries(await runOnce(model, feeds)))
      expect([...(known[name]!.data as Float32Array)], name).toEqual([...(data as Float32Array)]);
  }
});

it('leaves no number in float64 to OpenVINO, and no product to ONNX Runtime', () => {
  for (const { engine, model } of partsOf(learned([1, 2, 3, 3]))) {
    const operators = model.graph!.node!.map(({ opType }) => opType);
    const isOpenvino = engine === 'openvino';
    expect(operators.some((each) => each === 'MatMul' || each === 'Gemm')).toBe(isOpenvino);
    expect(operators.includes('Scan')).toBe(!isOpenvino);
    expect([...inferGraph(model).values()].some(({ type }) => type === 'float64')).toBe(!isOpenvino);
  }
});

it('keeps a graph whole that has no such operator', () => {
  const { model } = differentiated({ x: [2, 3] }, ['x'], (g, { x }) => g.ReduceMean(g.Exp(x!), [0, 1], false));
  expect(partsOf(model)).toEqual([{ engine: 'openvino', model }]);
});
