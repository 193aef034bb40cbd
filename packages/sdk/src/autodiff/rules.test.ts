/** @file Every row of the gradient table against finite differences computed by ONNX Runtime. */

import { describe, expect, test } from 'vitest';
import { type Case, type Composite, gradcheck } from '../../../../test/support/gradcheck.ts';
import { type Cases, from } from '../../../../test/support/caseForms.ts';
import { cases } from '../../../../test/support/gradientCases.ts';
import { differentiated, gradientValues } from '../../../../test/support/differentiated.ts';
import { type GraphBuilder, type Value } from '../graph/builder.ts';
import { float32 } from '../runtime/tensor.ts';
import { type DifferentiableOp, gradientRules, stopGradientOps } from './rules.ts';

describe.each(Object.entries(cases) as [DifferentiableOp, Cases][])('%s', (op, checks) => {
  test.each(checks.map((check, i) => ({ check, i, what: describeCase(check) })))('$i: $what', async ({ check }) => {
    const results = await gradcheck(op, check);
    expect(results.length).toBeGreaterThan(0);
    for (const { input, error, tolerance } of results) expect(error, `input ${input}`).toBeLessThan(tolerance);
  });

  test('has a check for the gradient of every input', () => {
    const rule = gradientRules[op];
    const missing = (typeof rule === 'function' ? [] : rule).flatMap((vjp, input) =>
      vjp && !checks.some(({ inputs }) => inputs[input] !== undefined) ? [input] : [],
    );
    expect(missing).toEqual([]);
  });
});

function describeCase({ inputs, attributes, opset, domain, read }: Case): string {
  return JSON.stringify({ inputs, ...attributes, opset, domain, read }).replaceAll('"', '');
}

/** Operators together, where a rule looks at its neighbours or gradients of several uses are added up. */
const composites: Readonly<Record<string, readonly [Composite, Case]>> = {
  'attention with scaled queries and keys': [
    (g, [x, q, k, v]) => {
      const heads = (w: Value): Value => g.Transpose(g.Reshape(g.MatMul(x!, w), [2, 4, 2, 2]), [0, 2, 1, 3]);
      const keys = g.Mul(g.Transpose(heads(k!), [0, 1, 3, 2]), 0.75);
      const weights = g.Softmax(g.MatMul(g.Mul(heads(q!), 0.75), keys), -1);
      return g.Reshape(g.Transpose(g.MatMul(weights, heads(v!)), [0, 2, 1, 3]), [2, 4, 4]);
    },
    { inputs: [[2, 4, 3], [3, 4], [3, 4], [3, 4]] },
  ],
  'attention whose weights are read twice': [
    (g, [q, k, v]) => {
      const weights = g.Softmax(g.MatMul(q!, g.Transpose(k!, [0, 2, 1])), -1);
      return g.Add(g.MatMul(weights, v!), g.ReduceSum(g.Mul(weights, weights), [2], true));
    },
    { inputs: [[2, 5, 2], [2, 5, 2], [2, 5, 2]] },
  ],
  'attention over another axis, or as the right operand': [
    (g, [a, v]) => g.Add(g.MatMul(g.Softmax(a!, 1), v!), g.Transpose(g.MatMul(g.Transpose(v!, [0, 2, 1]), g.Softmax(a!, 2)), [0, 2, 1])),
    { inputs: [[2, 3, 3], [2, 3, 2]] },
  ],
  'attention with values that every head shares': [
    (g, [a, v]) => g.MatMul(g.Softmax(a!, -1), v!),
    { inputs: [[2, 3, 4], [4, 2]] },
  ],
  'attention with a mask and a broadcast batch of values': [
    (g, [a, mask, v]) => g.MatMul(g.Softmax(g.Add(a!, mask!), -1), v!),
    { inputs: [[1, 3, 4], [4], [2, 4, 2]] },
  ],
  'adapters on three layers that read one value': [
    (g, [x, a, b, c, d, w]) => {
      const low = g.MatMul(g.MatMul(x!, a!), b!);
      return g.Tanh(g.Add(g.Add(g.MatMul(x!, w!), low), g.MatMul(g.MatMul(x!, c!), d!)));
    },
    { inputs: [[2, 3, 4], [4, 2], [2, 3], [4, 1], [1, 3], [4, 3]] },
  ],
  'a matrix that is read three times': [
    (g, [x, w]) => g.MatMul(g.Sin(g.MatMul(g.Sin(g.MatMul(x!, w!)), w!)), w!),
    { inputs: [[2, 3], [3, 3]] },
  ],
  'a product that is scaled by a trained scalar': [
    (g, [x, w, s]) => g.MatMul(g.Mul(x!, s!), g.Mul(w!, 3)),
    { inputs: [[2, 2, 3], [2, 3, 2], []] },
  ],
  'weights of attention, squared': [
    (g, [x, w]) => {
      const weights = g.Softmax(g.MatMul(x!, w!), -1);
      return g.MatMul(weights, weights);
    },
    { inputs: [[2, 3, 3], [2, 3, 3]] },
  ],
  'a residual block': [
    (g, [x, scale, w]) => {
      const y = g.emit('LayerNormalization', [x!, scale!], { axis: -1 });
      return g.Add(g.Softplus(g.MatMul(y, w!)), x!);
    },
    { inputs: [[2, 2, 4], from('nonzero', 4), [4, 4]], type: 'float32' },
  ],
}; // prettier-ignore

test.each(Object.entries(composites))('%s', async (_, [build, check]) => {
  for (const { input, error, tolerance } of await gradcheck(build, check)) {
    expect(error, `input ${input}`).toBeLessThan(tolerance);
  }
});

describe('where the derivative jumps or has no limit', () => {
  const sum = (g: GraphBuilder, y: Value): Value => g.ReduceSum(y, y.shape!.map((_, i) => i), false); // prettier-ignore
  const gradientAt = async (values: readonly number[], f: (g: GraphBuilder, x: Value) => Value): Promise<number[]> => {
    const graph = differentiated({ x: [values.length] }, ['x'], (g, { x }) => sum(g, f(g, x!)));
    return [...((await gradientValues(graph, { x: float32(values, [values.length]) }))['x']!.data as Float32Array)];
  };

  // torch: torch.autograd of amax, relu, abs, pow and where at these points.
  test('ReduceMax shares evenly between ties', async () => {
    expect(await gradientAt([3, 1, 3, 2], (g, x) => g.ReduceMax(x, [0], false))).toEqual([0.5, 0, 0.5, 0]);
  });
  test('Relu and Abs are flat at 0', async () => {
    expect(await gradientAt([-1, 0, 2], (g, x) => g.Relu(x))).toEqual([0, 0, 1]);
    expect(await gradientAt([-1, 0, 2], (g, x) => g.Abs(x))).toEqual([-1, 0, 1]);
  });
  test('Pow is finite for negative bases and at 0', async () => {
    expect(await gradientAt([-2, 0, 3], (g, x) => g.Pow(x, 2))).toEqual([-4, 0, 6]);
    expect(await gradientAt([-2, 0, 3], (g, x) => g.Pow(x, 3))).toEqual([12, 0, 27]);
    expect(await gradientAt([-2, 0, 3], (g, x) => g.Pow(x, 1))).toEqual([1, 1, 1]);
  });
  test('Pow takes an integer exponent', async () => {
    expect(await gradientAt([-2, 3], (g, x) => g.Pow(x, g.scalar(2, 'int64')))).toEqual([-4, 6]);
  });
  test('Where lets no NaN through from the branch that was not taken', async () => {
    const f = (g: GraphBuilder, x: Value): Value => g.Where(g.Greater(x, 0), x, g.scalar(NaN));
    expect(await gradientAt([-1, 2], f)).toEqual([0, 1]);
  });
  test('Softmax of a row with masked entries has gradient 0 there', async () => {
    const f = (g: GraphBuilder, x: Value): Value => {
      const masked = g.Add(x, g.constant(float32([0, -Infinity, 0], [3])));
      return g.Mul(g.Softmax(masked, 0), g.constant(float32([1, 2, 0], [3])));
    };
    // Over two equal entries: y = [½, 0, ½], dx = y·(w − Σ y·w) with w = [1, 2, 0].
    expect(await gradientAt([1, 5, 1], f)).toEqual([0.25, 0, -0.25]);
  });
});

describe('what has no rule', () => {
  test('an operator either has a gradient or ends it', () => {
    expect(Object.keys(gradientRules).filter((op) => stopGradientOps.has(op))).toEqual([]);
  });
  test.each<[string, (g: GraphBuilder, x: Value) => Value]>([
    [
      'Pad "Pad_0" with mode "reflect" and negative pads',
      (g, x) => g.emit('Pad', [x, g.ints([-1, 1])], { mode: 'reflect' }),
    ],
    [
      'is in training mode',
      (g, x) => {
        const c = g.constant(float32([1], [1]));
        return g.emit('BatchNormalization', [g.Reshape(x, [2, 1, 3]), c, c, c, c], { training_mode: 1 });
      },
    ],
  ])('%s', (message, f) => {
    const build = (): unknown => differentiated({ x: [6] }, ['x'], (g, { x }) => g.ReduceSum(f(g, x!), [], false), 13);
    expect(build).toThrow(expect.objectContaining({ code: 'NO_GRADIENT', message: expect.stringContaining(message) }));
  });
});
