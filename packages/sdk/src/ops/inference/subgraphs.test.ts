/** @file Inferred types of what If, Loop and Scan yield, against what ONNX Runtime really computes. */

import { expect, test } from 'vitest';
import { modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { float32, int64, tensor, type Feeds } from '../../runtime/tensor.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { type AttributeProto, attributeType, type GraphProto, type NodeProto } from '../../graph/proto.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { inferGraph } from '../inferGraph.ts';

const opset = 18;
const node = (opType: string, input: string[], output: string[], attribute: AttributeProto[] = []): NodeProto => ({
  opType,
  input,
  output,
  attribute,
});
const int = (name: string, i: number): AttributeProto => ({ name, type: attributeType.int, i });
const graphs = (bodies: Readonly<Record<string, GraphProto>>): AttributeProto[] =>
  Object.entries(bodies).map(([name, g]) => ({ name, type: attributeType.graph, g }));
const port = (name: string, type: ValueType['type'], shape: readonly Dim[]): NonNullable<GraphProto['input']>[number] => ({
  name,
  type: {
    tensorType: {
      elemType: dataTypeNumber(type!),
      shape: { dim: shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size })) },
    },
  },
}); // prettier-ignore
const named = (...names: string[]): NonNullable<GraphProto['output']> => names.map((name) => ({ name }));

/** Shapes that are inferred of the outputs, and the real ones. */
async function shapes(
  nodes: readonly NodeProto[],
  feeds: Feeds,
  outputs: readonly string[],
): Promise<[ValueType | undefined, readonly number[]][]> {
  const inputs = Object.entries(feeds).map(([name, { type, dims }]) => ({ name, type, shape: dims }));
  const initializers = [
    tensorProto('three', int64([3], [])),
    tensorProto('true', tensor('bool', Uint8Array.of(1), [])),
    tensorProto('rows', int64([0, -1], [2])),
  ];
  const model = modelOf({ opset, inputs, outputs, nodes, initializers });
  const types = inferGraph(model);
  const real = await runOnce(model, feeds);
  for (const name of outputs) expect(types.get(name)?.type).toBe(real[name]!.type);
  return outputs.map((name) => [types.get(name), real[name]!.dims]);
}

const x = float32(new Float32Array(12), [4, 3]);
const one = tensor('bool', Uint8Array.of(1), []);

test('If: what both branches say', async () => {
  const branches = graphs({
    then_branch: { name: 'a', node: [node('Relu', ['x'], ['a0']), node('Concat', ['x', 'x'], ['a1'], [int('axis', 0)])], output: named('a0', 'a1') },
    else_branch: { name: 'b', node: [node('Neg', ['x'], ['b0']), node('Exp', ['x'], ['b1'])], output: named('b0', 'b1') },
  }); // prettier-ignore
  const [same, other] = await shapes([node('If', ['condition'], ['y0', 'y1'], branches)], { condition: one, x }, ['y0', 'y1']); // prettier-ignore
  expect(same![0]!.shape).toEqual(same![1]);
  expect(other![1]).toEqual([8, 3]);
  expect(other![0]!.shape).toEqual(['?y1.0', 3]);
});

test('If: of a known condition what its branch says', async () => {
  const branches = graphs({
    else_branch: { name: 'b', node: [node('Neg', ['x'], ['b0'])], output: named('b0') },
    then_branch: {
      name: 'a',
      node: [node('Concat', ['x', 'own'], ['a0'], [int('axis', 0)])],
      initializer: [tensorProto('own', float32(new Float32Array(6).fill(1), [2, 3]))],
      output: named('a0'),
    },
  });
  const [y] = await shapes([node('If', ['true'], ['y'], branches)], { x }, ['y']);
  expect(y![0]!.shape).toEqual([6, 3]);
});

test('Loop: what stays as it comes, what grows, and what each round yields', async () => {
  const body: GraphProto = {
    name: 'body',
    input: [port('i', 'int64', []), port('go', 'bool', []), port('kept', 'float32', [4, 3]), port('grown', 'float32', ['n', 3])],
    node: [
      node('Identity', ['go'], ['on']),
      node('Relu', ['kept'], ['next']),
      node('Concat', ['grown', 'x'], ['longer'], [int('axis', 0)]),
      node('ReduceSum', ['grown'], ['sum'], [int('keepdims', 0)]),
      node('Identity', ['kept'], ['row']),
    ],
    output: named('on', 'next', 'longer', 'sum', 'row'),
  }; // prettier-ignore
  const outputs = ['y0', 'y1', 'y2', 'y3'];
  const loop = node('Loop', ['three', 'true', 'x', 'x'], outputs, graphs({ body }));
  const [kept, grown, sums, rows] = await shapes([loop], { x }, outputs);
  expect(kept![0]!.shape).toEqual(kept![1]);
  expect([grown![0]!.shape, grown![1]]).toEqual([
    ['?y1.0', 3],
    [16, 3],
  ]);
  expect([sums![0]!.shape, sums![1]]).toEqual([['?y2.0'], [3]]);
  expect([rows![0]!.shape, rows![1]]).toEqual([
    ['?y3.0', 4, 3],
    [3, 4, 3],
  ]);
});

test('Scan: states, and lists along an axis', async () => {
  const body: GraphProto = {
    name: 'body',
    input: [port('state', 'float32', [3]), port('row', 'float32', [3])],
    node: [node('Add', ['state', 'row'], ['next']), node('Relu', ['row'], ['list'])],
    output: named('next', 'list'),
  };
  const state = float32(new Float32Array(3), [3]);
  const axes: AttributeProto = { name: 'scan_output_axes', type: attributeType.ints, ints: [1] };
  const attributes = [...graphs({ body }), int('num_scan_inputs', 1), axes];
  const found = await shapes([node('Scan', ['state0', 'x'], ['y0', 'y1'], attributes)], { x, state0: state }, ['y0', 'y1']); // prettier-ignore
  for (const [inferred, real] of found) expect(inferred!.shape).toEqual(real);
});
