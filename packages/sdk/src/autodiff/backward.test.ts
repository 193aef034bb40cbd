/** @file The driver of differentiation: what it adds up, where it stops, what it emits and in which order. */

import { describe, expect, test } from 'vitest';
import { differentiated, gradientValues } from '../../../../test/support/differentiated.ts';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import { attributeType, type NodeProto } from '../graph/proto.ts';
import type { ValueType } from '../graph/value.ts';
import { inferNode } from '../ops/infer.ts';
import { float32, type Tensor } from '../runtime/tensor.ts';
import { differentiate } from './backward.ts';

const total = (g: GraphBuilder, y: Value): Value => g.ReduceSum(y, y.shape!.map((_, i) => i), false); // prettier-ignore
const numbers = (tensor: Tensor | undefined): number[] => [...(tensor!.data as Float32Array)];

describe('values', () => {
  test('gradients of several uses are added up', async () => {
    const graph = differentiated({ x: [3] }, ['x'], (g, { x }) =>
      total(g, g.Add(g.Mul(x!, x!), g.Sub(g.Sin(x!), g.Mul(x!, 3)))),
    );
    const { x } = await gradientValues(graph, { x: float32([0, 0.5, -2], [3]) });
    const expected = [0, 0.5, -2].map((value) => 2 * value + Math.cos(value) - 3);
    numbers(x).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 6));
  });

  test('what was broadcast is summed, in the middle of a chain too', async () => {
    // (row + column)² summed: ∂/∂row[j] = Σ_i 2(row[j] + column[i]).
    const graph = differentiated(
      { row: [3], column: [2, 1], unit: [1] },
      ['row', 'column', 'unit'],
      (g, { row, column, unit }) => {
        const both = g.Add(g.Mul(row!, unit!), column!);
        return total(g, g.Mul(both, both));
      },
    );
    const feeds = { row: float32([1, 2, 3], [3]), column: float32([10, 20], [2, 1]), unit: float32([1], [1]) };
    const gradients = await gradientValues(graph, feeds);
    expect(gradients['row']!.dims).toEqual([3]);
    expect(numbers(gradients['row'])).toEqual([64, 68, 72]);
    expect(gradients['column']!.dims).toEqual([2, 1]);
    expect(numbers(gradients['column'])).toEqual([72, 132]);
    // ∂/∂unit = Σ_j row[j]·∂/∂(row[j]·unit).
    expect(gradients['unit']!.dims).toEqual([1]);
    expect(numbers(gradients['unit'])).toEqual([64 + 2 * 68 + 3 * 72]);
  });

  test('no gradient passes stopGradient', async () => {
    const graph = differentiated({ x: [2] }, ['x'], (g, { x }) => total(g, g.Mul(x!, g.stopGradient(g.Mul(x!, x!)))));
    expect(numbers((await gradientValues(graph, { x: float32([2, 3], [2]) }))['x'])).toEqual([4, 9]);
  });

  test('no gradient passes a comparison or a rounding', async () => {
    const graph = differentiated({ x: [2] }, ['x'], (g, { x }) =>
      total(g, g.Mul(g.emit('Floor', [x!]), g.Where(g.Greater(x!, 2.5), x!, g.Mul(x!, 2)))),
    );
    expect(numbers((await gradientValues(graph, { x: float32([2.25, 3.5], [2]) }))['x'])).toEqual([4, 3]);
  });

  test('an input that the loss does not depend on has no gradient and costs nothing', () => {
    const graph = differentiated({ x: [2], idle: [2] }, ['x', 'idle'], (g, { x, idle }) => {
      g.Exp(idle!);
      return total(g, x!);
    });
    expect([...graph.backward.gradients.keys()]).toEqual(['x']);
  });

  test('the gradient of a value in the middle of the graph', async () => {
    const f = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '' });
    const middle = f.Mul({ name: 'x', type: 'float32', shape: [2] }, 3);
    const loss = total(f, f.Mul(middle, middle));
    const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: 'g/' });
    const { gradients } = differentiate({
      g,
      nodes: f.nodes,
      types: f.types,
      loss: loss.name,
      wrt: [middle.name],
      stopped: new Set(),
    });
    expect(gradients.get(middle.name)?.shape).toEqual([2]);
  });

  test('a batch of unknown size', () => {
    const f = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '' });
    const x: Value = { name: 'x', type: 'float32', shape: ['batch', 2, 3] };
    const b: Value = { name: 'b', type: 'float32', shape: [3] };
    const y = f.Tanh(f.Add(f.MatMul(x, f.constant(float32(new Float32Array(9), [3, 3]))), b));
    const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: 'g/' });
    const types = new Map([...f.types, ...[x, b].map((value) => [value.name, value] as const)]);
    // The cotangent of a tensor instead of a scalar: ones, which ReduceSum would need the batch size for.
    const request = { g, nodes: f.nodes, types, loss: y.name, wrt: ['x', 'b'], stopped: new Set<string>() };
    const { gradients } = differentiate(request);
    expect(gradients.get('x')?.shape).toEqual(['batch', 2, 3]);
    expect(gradients.get('b')?.shape).toEqual([3]);
  });
});

describe('emitted nodes', () => {
  /** Two adapted layers with a GELU between them: y = gelu(xW + xAB)V + (…)CD, with frozen W and V. */
  const twoLayers = () =>
    differentiated(
      { x: [2, 4], A: [4, 1], B: [1, 3], C: [3, 1], D: [1, 2], W: [4, 3], V: [3, 2] },
      ['A', 'B', 'C', 'D'],
      (g, v) => {
        const first = g.Add(g.MatMul(v['x']!, v['W']!), g.MatMul(g.MatMul(v['x']!, v['A']!), v['B']!));
        const middle = g.emit('Gelu', [first], {}, 'com.microsoft');
        const second = g.Add(g.MatMul(middle, v['V']!), g.MatMul(g.MatMul(middle, v['C']!), v['D']!));
        return total(g, g.Mul(second, second));
      },
    );

  test('stand after what they read', () => {
    const { model, backward } = twoLayers();
    const known = new Set([...model.graph!.input!, ...model.graph!.initializer!].map(({ name }) => name));
    for (const node of model.graph!.node!) {
      for (const name of node.input!) expect(known.has(name), `${node.name} reads ${name}`).toBe(true);
      for (const name of node.output!) known.add(name);
    }
    const emitted = [...backward.recompute, ...backward.chain, ...backward.leaves];
    expect(new Set(emitted).size).toBe(emitted.length);
  });

  test('recompute reads forward values alone, and leaves come last, in forward order', () => {
    const { model, backward } = twoLayers();
    const ofForward = new Set(
      model.graph!.node!.flatMap(({ name, output }) => (name!.startsWith('g/') ? [] : output!)),
    );
    for (const value of [...model.graph!.input!, ...model.graph!.initializer!]) ofForward.add(value.name!);
    for (const node of backward.recompute) {
      for (const name of node.input!) expect(ofForward.has(name), `${node.name} reads ${name}`).toBe(true);
      for (const name of node.output!) ofForward.add(name);
    }
    const producers = model.graph!.node!.map(({ output }) => output![0]!);
    const [a, b, c, d] = ['A', 'B', 'C', 'D'].map((name) => producers.indexOf(backward.gradients.get(name)!.name));
    expect(Math.max(a!, b!)).toBeLessThan(Math.min(c!, d!));
    expect(Math.max(c!, d!)).toBe(producers.length - 1);
    // Between and behind them nothing but their own operands: the chain stands before the last layer's products.
    const chain = model.graph!.node!.findIndex(
      ({ opType, input }) => opType === 'Gemm' && input!.includes('V') && input![0]!.startsWith('g/'),
    );
    expect(chain).toBeLessThan(Math.min(c!, d!));
  });

  test('do nothing for frozen weights and inputs', () => {
    const { backward, text } = twoLayers();
    expect([...backward.gradients.keys()].sort()).toEqual(['A', 'B', 'C', 'D']);
    // dW = xᵀ·dy and dV would read these forward values once more: x only serves dA, the GELU's output only dC.
    expect(text.match(/\(x, /g)).toHaveLength(1);
    expect(text.match(/\(Gelu_\d+, /g)).toHaveLength(1);
    expect(text).not.toMatch(/, W\)/);
  });

  test('run in that order', async () => {
    const random = (n: number): number[] => Array.from({ length: n }, (_, i) => Math.sin(3 * i + n));
    const sizes = { x: [2, 4], A: [4, 1], B: [1, 3], C: [3, 1], D: [1, 2], W: [4, 3], V: [3, 2] };
    const feeds = Object.fromEntries(
      Object.entries(sizes).map(([name, dims]) => [name, float32(random(dims[0]! * dims[1]!), dims)]),
    );
    const gradients = await gradientValues(twoLayers(), feeds);
    expect(Object.keys(gradients).sort()).toEqual(['A', 'B', 'C', 'D']);
    expect(numbers(gradients['B']).some((value) => Math.abs(value) > 1e-3)).toBe(true);
  });

  test('freezing an input removes exactly what served it', () => {
    const count = (wrt: string[]): number => {
      const { backward } = differentiated({ x: [2, 3], w: [3, 2] }, wrt, (g, { x, w }) =>
        total(g, g.Tanh(g.MatMul(x!, w!))),
      );
      return backward.recompute.length + backward.chain.length + backward.leaves.length;
    };
    // Each side of the product is one Gemm.
    expect(count(['x', 'w']) - count(['x'])).toBe(1);
    expect(count(['x', 'w']) - count(['w'])).toBe(1);
  });

  test('are the same nodes for few rows as for many, where a weight is used twice', () => {
    const ops = (rows: number): (string | undefined)[] => {
      const { backward } = differentiated({ x: [rows, 96], z: [rows, 96], w: [96, 80] }, ['w', 'x'], (g, { x, z, w }) =>
        total(g, g.Add(g.Tanh(g.MatMul(x!, w!)), g.Add(g.MatMul(x!, w!), g.MatMul(z!, w!)))),
      );
      return [backward.recompute, backward.chain, backward.leaves].flat().map(({ opType }) => opType);
    };
    expect(ops(3)).toEqual(ops(500));
  });

  test('a chain ends at the lowest value that is differentiated by', () => {
    const { backward } = differentiated({ x: [2], scale: [2] }, ['scale'], (g, { x, scale }) =>
      total(g, g.Mul(g.Exp(g.Sin(x!)), scale!)),
    );
    const ops = [backward.recompute, backward.chain, backward.leaves].flat().map(({ opType }) => opType);
    expect(ops).not.toContain('Cos');
  });
});

describe('errors', () => {
  const message = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      expect(error).toMatchObject({
        name: 'OnnxLoraError',
        code: expect.stringMatching(/NO_GRADIENT|MODEL_UNSUPPORTED/),
      });
      return (error as Error).message;
    }
    return 'no error';
  };

  test('an operator without a rule on the path', () => {
    const f = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '/enc/' });
    const x: Value = { name: 'x', type: 'float32', shape: [1, 1, 4] };
    const loss = total(f, f.emit('CumProd', [x, f.scalar(1, 'int64')]));
    const run = (describeNode?: (node: NodeProto) => string): unknown =>
      differentiate({
        g: new GraphBuilder({ opset: 18, infer: inferNode, prefix: 'g/' }),
        nodes: f.nodes,
        types: new Map([...f.types, ['x', x]]),
        loss: loss.name,
        wrt: ['x'],
        stopped: new Set(),
        ...(describeNode ? { describe: describeNode } : {}),
      });
    expect(message(run)).toMatchInlineSnapshot(
      `"No gradient rule for CumProd (node "/enc/CumProd_0", opset 18), which lies between an adapted layer and the loss. Adapt only layers after it, or bring a rule in a plugin: definePlugin({ operators: [{ domain, op, gradient }] })."`,
    );
    expect(message(() => run(() => 'module "enc.up"'))).toContain('(node "/enc/CumProd_0", module "enc.up", opset 18)');
    f.nodes.find(({ opType }) => opType === 'CumProd')!.domain = 'com.example';
    expect(message(run)).toContain('No gradient rule for com.example:CumProd (node');
  });

  test('an operator without a rule below everything that is trained is no error', () => {
    const { backward } = differentiated({ x: [4], w: [4] }, ['w'], (g, { x, w }) =>
      total(g, g.Mul(g.emit('CumProd', [x!, g.scalar(0, 'int64')]), w!)),
    );
    expect(backward.gradients.size).toBe(1);
  });

  test.each(['Loop', 'Scan'])('a %s whose body reads a value on the path', (opType) => {
    const body = {
      name: 'body',
      node: [{ opType: 'Neg', name: 'n', input: ['x'], output: ['z'] }],
      output: [{ name: 'z' }],
    };
    const f = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '' });
    const y: Value = { name: 'y', type: 'float32', shape: [2] };
    const loss = total(f, y);
    const nodes: NodeProto[] = [
      {
        name: 'rounds',
        opType,
        input: ['n', 'c'],
        output: ['y'],
        attribute: [{ name: 'body', type: attributeType.graph, g: body }],
      },
      ...f.nodes,
    ];
    const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: 'g/' });
    const types = new Map<string, ValueType>([...f.types, ['x', y], ['y', y]]);
    expect(message(() => differentiate({ g, nodes, types, loss: loss.name, wrt: ['x'], stopped: new Set() }))).toMatch(
      new RegExp(`No gradient rule for ${opType} \\(node "rounds".*export the model with a fixed number of rounds`),
    );
  });

  test('a loss that reads the second output of LayerNormalization', () => {
    const build = (g: GraphBuilder, { x, scale }: Readonly<Record<string, Value>>): Value =>
      total(g, g.emitMany('LayerNormalization', [x!, scale!], 3)[1]!);
    expect(message(() => differentiated({ x: [2, 3], scale: [3] }, ['x'], build))).toContain(
      'No gradient rule for LayerNormalization output 1',
    );
  });

  test('a shape that the graph does not tell', () => {
    const f = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '' });
    const x: Value = { name: 'x', type: 'float32' };
    f.ReduceSum(f.Exp(x), [0], false);
    const nodes = f.nodes;
    const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: 'g/' });
    const types = new Map([...f.types, ['x', x] as const]);
    expect(
      message(() =>
        differentiate({ g, nodes, types, loss: nodes.at(-1)!.output![0]!, wrt: ['x'], stopped: new Set() }),
      ),
    ).toMatchInlineSnapshot(`"The gradient needs the rank of "Exp_0", which the graph does not tell."`);
  });
});
