import { describe, expect, test } from 'vitest';
import { vitModel } from '../../../../../test/fixtures/vit.ts';
import { runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { ModelProto, NodeProto } from '../../graph/proto.ts';
import { Random } from '../../runtime/random.ts';
import { float32 } from '../../runtime/tensor.ts';
import { inferNode } from '../infer.ts';
import { inferGraph } from '../inferGraph.ts';
import { pushDownSelections } from './pushDownSelections.ts';

const random = new Random(2);
const pixels = float32(
  new Float32Array(2 * 3 * 16 * 16).map(() => random.uniform(-1, 1)),
  [2, 3, 16, 16],
);
const base = vitModel({ hidden: 16, layers: 2, heads: 2, image: 16, patch: 4, classes: 5 });

function narrowed(model: ModelProto, outputs: readonly string[]): { model: ModelProto; slices: NodeProto[] } {
  const types = inferGraph(model, { shapes: { pixel_values: pixels.dims } });
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'pick/' });
  const node = pushDownSelections(model.graph!.node!, types, g, outputs);
  const graph = { ...model.graph!, node, initializer: [...model.graph!.initializer!, ...g.initializers] };
  return { model: { ...model, graph }, slices: node.filter(({ name }) => name?.startsWith('pick/')) };
}

describe('pushDownSelections', () => {
  test('a classifier on the first token computes only that token in its last layer, with the same scores', async () => {
    const { model, slices } = narrowed(base, ['logits']);
    // The query's input and the residual stream are the last values that need other tokens.
    expect(slices.map(({ opType }) => opType)).toEqual(['Slice', 'Slice']);
    const types = inferGraph(model, { shapes: { pixel_values: pixels.dims } });
    const lastGelu = model.graph!.node!.filter(({ opType }) => opType === 'Erf').at(-1)!;
    expect(types.get(lastGelu.output![0]!)?.shape).toEqual([2, 1, 64]);

    const expected = (await runOnce(base, { pixel_values: pixels }))['logits']!;
    const found = (await runOnce(model, { pixel_values: pixels }))['logits']!;
    expect(found.dims).toEqual(expected.dims);
    expected.data.forEach((value, i) => {
      expect(found.data[i]).toBeCloseTo(Number(value), 5);
    });
  });

  test('what is read whole elsewhere is computed whole', () => {
    const last = base.graph!.node!.findLast(({ opType }) => opType === 'LayerNormalization')!.output![0]!;
    expect(narrowed(base, ['logits', last]).slices).toEqual([]);
  });

  test('two different positions of one value leave it whole', () => {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
    const x: Value = { name: 'pixel_values', type: 'float32', shape: pixels.dims };
    const y = g.Tanh(x);
    const first = g.emit('Gather', [y, g.scalar(0, 'int64')], { axis: 1 });
    const second = g.emit('Gather', [y, g.scalar(2, 'int64')], { axis: 1 });
    const sum = g.Add(first, second);
    const graph = {
      node: g.nodes,
      initializer: g.initializers,
      input: base.graph!.input!,
      output: [{ name: sum.name }],
    };
    expect(narrowed({ ...base, graph }, [sum.name]).slices).toEqual([]);
  });

  test('what a branch inside of a branch reads is computed whole', () => {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
    const x: Value = { name: 'pixel_values', type: 'float32', shape: pixels.dims };
    const y = g.Tanh(x);
    const first = g.emit('Gather', [y, g.scalar(0, 'int64')], { axis: 1 });
    const condition = g.Greater(g.ReduceMean(x, [0, 1, 2, 3], false), 0);
    const choice = (own: GraphBuilder, depth: number): Value => {
      if (depth === 2) return own.ReduceMean(y, [1], false);
      const branches = ['then', 'else'].map((name) => {
        const inner = own.inner(`${name}${depth}`);
        const made = choice(inner, depth + 1);
        const { nodes: node, initializers: initializer } = inner;
        return { graph: { name, node, initializer, output: [{ name: made.name }] } };
      });
      const [yes, no] = branches;
      return own.emit('If', [condition], { then_branch: yes!, else_branch: no! });
    };
    const sum = g.Add(first, { ...choice(g, 0), type: 'float32', shape: first.shape });
    const graph = { ...base.graph!, node: g.nodes, initializer: g.initializers, output: [{ name: sum.name }] };
    expect(narrowed({ ...base, graph }, [sum.name]).slices).toEqual([]);
  });

  test('a negative index, on an axis that a Transpose moves', async () => {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
    const x: Value = { name: 'pixel_values', type: 'float32', shape: pixels.dims };
    const y = g.Tanh(g.Transpose(g.Mul(x, x), [0, 3, 1, 2]));
    const z = g.emit('Gather', [y, g.scalar(-1, 'int64')], { axis: 1 });
    const model: ModelProto = {
      ...base,
      graph: { ...base.graph!, node: g.nodes, initializer: g.initializers, output: [{ name: z.name }] },
    };
    const after = narrowed(model, [z.name]);
    expect(after.slices.map(({ input }) => input![0])).toEqual(['pixel_values']);
    const [before, now] = [
      await runOnce(model, { pixel_values: pixels }),
      await runOnce(after.model, { pixel_values: pixels }),
    ];
    expect(now[z.name]).toEqual(before[z.name]);
  });
});
